/*
 * Uses a GPU as CUDA's programs do, with nothing but what the driver brings: libcuda, and its compiler for PTX. Prints
 * what it found; "hold" stays until SIGTERM. Exit status 2: no driver, 3: a call of the driver's failed, 4: wrong sum.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT 1024

static const char kernel[] =
    ".version 6.3\n.target sm_50\n.address_size 64\n"
    ".visible .entry twice(.param .u64 numbers) {\n"
    "  .reg .u64 %at<3>; .reg .u32 %n<3>;\n"
    "  ld.param.u64 %at0, [numbers]; cvta.to.global.u64 %at0, %at0;\n"
    "  mov.u32 %n0, %tid.x; mul.wide.u32 %at1, %n0, 4; add.u64 %at2, %at0, %at1;\n"
    "  ld.global.u32 %n1, [%at2]; add.u32 %n2, %n1, %n1; st.global.u32 [%at2], %n2;\n"
    "  ret;\n}\n";

static void *library;

static void *find(const char *name) {
  void *found = dlsym(library, name);
  if (found == NULL) {
    printf("libcuda has no %s\n", name);
    exit(3);
  }
  return found;
}

#define CALL(name, types, ...)                                     \
  do {                                                             \
    int failed = ((int(*) types)find(#name))(__VA_ARGS__);         \
    if (failed != 0) {                                             \
      printf("%s failed: error %d\n", #name, failed);              \
      exit(3);                                                     \
    }                                                              \
  } while (0)

static long sum_of_twice(void) {
  void *context, *module, *function;
  unsigned long long numbers;
  unsigned host[COUNT];
  long sum = 0;
  CALL(cuDevicePrimaryCtxRetain, (void **, int), &context, 0);
  CALL(cuCtxSetCurrent, (void *), context);
  CALL(cuModuleLoadData, (void **, const void *), &module, kernel);
  CALL(cuModuleGetFunction, (void **, void *, const char *), &function, module, "twice");
  for (unsigned i = 0; i < COUNT; i++) host[i] = i;
  CALL(cuMemAlloc_v2, (unsigned long long *, size_t), &numbers, sizeof host);
  CALL(cuMemcpyHtoD_v2, (unsigned long long, const void *, size_t), numbers, host, sizeof host);
  void *arguments[] = {&numbers};
  CALL(cuLaunchKernel,
       (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **),
       function, 1, 1, 1, COUNT, 1, 1, 0, NULL, arguments, NULL);
  memset(host, 0, sizeof host);
  CALL(cuMemcpyDtoH_v2, (void *, unsigned long long, size_t), host, numbers, sizeof host);
  for (unsigned i = 0; i < COUNT; i++) sum += host[i];
  return sum;
}

int main(int argc, char **argv) {
  int count, version;
  char name[128];
  setvbuf(stdout, NULL, _IOLBF, 0);
  library = dlopen("libcuda.so.1", RTLD_NOW);
  if (library == NULL) {
    printf("no driver: %s\n", dlerror());
    return 2;
  }
  CALL(cuInit, (unsigned), 0);
  CALL(cuDriverGetVersion, (int *), &version);
  CALL(cuDeviceGetCount, (int *), &count);
  for (int i = 0; i < count; i++) {
    CALL(cuDeviceGetName, (char *, int, int), name, sizeof name, i);
    printf("GPU %d of %d: %s\n", i + 1, count, name);
  }
  long sum = sum_of_twice();
  printf("sum %ld by CUDA %d.%d\n", sum, version / 1000, version % 1000 / 10);
  if (sum != (long)COUNT * (COUNT - 1)) return 4;
  if (argc > 1 && strcmp(argv[1], "hold") == 0) pause();
  return 0;
}
