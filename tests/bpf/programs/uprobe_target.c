// SPDX-License-Identifier: Apache-2.0
// Calls hit() once for each byte it reads and answers with the byte; ends with its input.
// With an argument a child does so, and the first process ends at once.
#include <unistd.h>

__attribute__((noinline)) void hit(volatile long *calls)
{
  ++*calls;
}

int main(int argc, char **argv)
{
  (void)argv;
  if (argc > 1 && fork() > 0)
    return 0;
  volatile long calls = 0;
  char bytes[4096];
  ssize_t got;
  while ((got = read(0, bytes, sizeof bytes)) > 0) {
    for (ssize_t i = 0; i < got; ++i)
      hit(&calls);
    if (write(1, bytes, (size_t)got) != got)
      return 1;
  }
  return 0;
}
