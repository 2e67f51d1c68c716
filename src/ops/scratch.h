// Memory of one thread that grows to the most that was asked for: `thread_local Scratch` beside a kernel.
#pragma once
#include "base/error.h"
#include "base/memory.h"
#include "base/types.h"

namespace pare {

class Scratch {
 public:
  /// `bytes` of 64-byte aligned memory, and 64 more that may be read. What it held is lost when it grows.
  /// Throws a job error when there is none.
  void* bytes(std::size_t bytes) {
    if (size_ < bytes) {
      void* fresh = allocate_aligned(bytes + 64);
      if (!fresh) throw job_error("out of memory: {} bytes for a product's scratch", bytes);
      data_.reset(static_cast<float*>(fresh));
      size_ = bytes;
    }
    return data_.get();
  }
  template <class T>
  T* of(i64 count) {
    return static_cast<T*>(bytes(static_cast<std::size_t>(count) * sizeof(T)));
  }

 private:
  AlignedFloats data_;
  std::size_t size_ = 0;
};

}  // namespace pare
