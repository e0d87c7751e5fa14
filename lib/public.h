/* public.h - included before everything else in each file of the library, which is compiled with hidden visibility:
 * what the public headers declare is what the shared library exports.
 */
#ifndef EXEC__PUBLIC_H
#define EXEC__PUBLIC_H

#pragma GCC visibility push(default)
#include <exec.h>
#pragma GCC visibility pop

#endif
