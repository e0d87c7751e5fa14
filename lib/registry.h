/* registry.h - executors that exist no more: their memory, which is used again but never given back. See registry.c. */
#ifndef EXEC__REGISTRY_H
#define EXEC__REGISTRY_H

struct executor;

struct executor *exec__registry_take(void); /* zeroed when it is new; NULL: ENOMEM */
void exec__registry_give(struct executor *ex);

/* Around fork(). */
void exec__registry_lock(void);
void exec__registry_unlock(void);

#endif
