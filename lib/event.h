/* event.h - an eventfd(2) as a flag that poll(2) sees: readable while it is set. */
#ifndef EXEC__EVENT_H
#define EXEC__EVENT_H

/* Any thread, with any lock: none of these waits, is a cancellation point, or changes errno. */
int exec__event_open(int *fd); /* 0, or what eventfd(2) fails with; it is not set */
void exec__event_set(int fd);
void exec__event_clear(int fd);
void exec__event_close(int fd); /* below 0: nothing */

#endif
