// Data-parallel loops over OpenMP. One engine thread drives all parallel regions.
#pragma once
#include <functional>

#include "base/types.h"

namespace pare {

/// Threads used by parallel loops from now on. 0 = one per core this process may use. Throws when negative.
void set_threads(int n);
int threads();

/// Calls body(begin, end) for consecutive pieces of [0, n), each at least `grain` long (but the last), on all
/// threads. The pieces never change a result: every body computes its elements alone. The first exception of
/// a body is thrown again in the caller.
void parallel_rows(i64 n, i64 grain, const std::function<void(i64 begin, i64 end)>& body);

/// Calls body(i) for i in [0, n), handed out one at a time (uneven work).
void parallel_tasks(i64 n, const std::function<void(i64 i)>& body);

}  // namespace pare
