// threads.h: one OpenMP team per call.

#ifndef LN__THREADS_H
#define LN__THREADS_H

// Runs body(context) once in each of `threads` threads and returns when all are done.
void ln__team(int threads, void (*body)(void *context), void *context);

// Inside a team: the index of this thread, the size of the team, and a meeting point for all of it.
int ln__thread_index(void);
int ln__team_size(void);
void ln__barrier(void);

#endif
