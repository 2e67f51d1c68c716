// Runs a test body on every instruction-set tier of this CPU and with several thread counts.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "base/isa.h"
#include "base/threads.h"
#include "tensor/tensor.h"

namespace pare {

/// Calls body() once per tier, with the tier's name in the trace; the best tier is back afterwards.
template <class Body>
void for_each_isa(Body&& body) {
  for (const std::string& isa : supported_isas()) {
    SCOPED_TRACE("tier " + isa);
    force_isa(isa);
    body();
  }
  force_isa("");
}

/// Calls body() with 1, 2, 3 and 8 threads; all cores again afterwards.
template <class Body>
void for_each_thread_count(Body&& body) {
  for (const int count : {1, 2, 3, 8}) {
    SCOPED_TRACE(std::to_string(count) + " threads");
    set_threads(count);
    body();
  }
  set_threads(0);
}

/// The same shape, dtype and bytes.
inline bool identical(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         (a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), static_cast<std::size_t>(a.bytes())) == 0);
}

}  // namespace pare
