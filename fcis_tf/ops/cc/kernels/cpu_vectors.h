// Vectors of floats, and memory for them, for loops that are compiled once for every instruction set.
//
// Vectors are the compiler's own, of 16 floats: one AVX-512 register, two of AVX2, four of SSE or NEON. Everything is in
// the namespace FCIS_TF_ISA, and in no other file's: the linker must not take one instruction set's code for another.

#ifndef FCIS_TF_OPS_CC_KERNELS_CPU_VECTORS_H_
#define FCIS_TF_OPS_CC_KERNELS_CPU_VECTORS_H_

#include <cstdint>
#include <cstring>
#include <new>

namespace fcis_tf {
namespace FCIS_TF_ISA {
namespace {

constexpr int kWidth = 16;
typedef float Vector __attribute__((vector_size(4 * kWidth)));
typedef int32_t Mask __attribute__((vector_size(4 * kWidth)));

struct Uninitialized {};

// Memory at a multiple of a vector's size, of zeros if not said otherwise. With std::vector the linker could give one
// instruction set the memory that another one asked for, and they differ in how a Vector has to be aligned.
template <typename T>
class Array {
 public:
  explicit Array(int64_t size) : Array(size, Uninitialized()) { Clear(); }
  Array(int64_t size, Uninitialized)
      : size_(size), data_(static_cast<T*>(::operator new(size * sizeof(T), std::align_val_t{sizeof(Vector)}))) {}
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  ~Array() { ::operator delete(data_, std::align_val_t{sizeof(Vector)}); }

  void Clear() { std::memset(data_, 0, size_ * sizeof(T)); }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](int64_t i) { return data_[i]; }

 private:
  int64_t size_;
  T* data_;
};

inline Vector Load(const float* source) {
  Vector floats;
  std::memcpy(&floats, source, sizeof(floats));
  return floats;
}

}  // namespace
}  // namespace FCIS_TF_ISA
}  // namespace fcis_tf

#endif  // FCIS_TF_OPS_CC_KERNELS_CPU_VECTORS_H_
