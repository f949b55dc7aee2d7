/* Memory that is not a number until it is written: loaded before the C library, fills what is allocated with NaNs. */

#include <stddef.h>
#include <stdint.h>

extern void *__libc_malloc(size_t);
extern void *__libc_memalign(size_t, size_t);

/* Small pieces hold no tensors. */
enum { SMALLEST = 4096, NOT_A_NUMBER_IN_BFLOAT16 = 0x7FC0, OUT_OF_MEMORY = 12 };

static void *fill(void *memory, size_t bytes) {
  uint16_t *values = memory;
  if (memory && bytes >= SMALLEST)
    for (size_t i = 0; i < bytes / sizeof *values; ++i) values[i] = NOT_A_NUMBER_IN_BFLOAT16;
  return memory;
}

void *malloc(size_t bytes) { return fill(__libc_malloc(bytes), bytes); }

void *memalign(size_t alignment, size_t bytes) { return fill(__libc_memalign(alignment, bytes), bytes); }

void *aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }

int posix_memalign(void **memory, size_t alignment, size_t bytes) {
  *memory = memalign(alignment, bytes);
  return *memory ? 0 : OUT_OF_MEMORY;
}
