/* replay.c - runs a fuzz target on files, in place of libFuzzer.
   SPDX-License-Identifier: MIT

     replay-TARGET FILE|DIRECTORY ...

   So the corpus is part of the tests, with any compiler and Lua version. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static unsigned count;

static void run_file(FILE *f) {
  static uint8_t data[1 << 20];
  size_t size = fread(data, 1, sizeof data, f);
  (void)fclose(f);
  /* A copy of just that size, for sanitizers. */
  uint8_t *copy = malloc(size + 1);
  if (copy == NULL) abort();
  memcpy(copy, data, size);
  (void)LLVMFuzzerTestOneInput(copy, size);
  free(copy);
  count++;
}

static void run_path(const char *path) {
  DIR *d = opendir(path);
  if (d == NULL) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
      perror(path);
      exit(2);
    }
    run_file(f);
    return;
  }
  const struct dirent *entry;
  while ((entry = readdir(d)) != NULL) {
    char name[4096];
    if (entry->d_name[0] == '.') continue;
    (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
    run_path(name);
  }
  (void)closedir(d);
}

int main(int argc, char **argv) {
  (void)LLVMFuzzerInitialize(&argc, &argv);
  for (int i = 1; i < argc; i++) run_path(argv[i]);
  (void)printf("%u inputs\n", count);
  return count > 0 ? 0 : 2;
}
