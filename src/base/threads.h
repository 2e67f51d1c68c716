// Data-parallel loops over OpenMP. One engine thread drives all parallel regions.
#pragma once
#include <functional>

#include "base/types.h"

namespace pare {

/// Threads used by parallel loops from now on. 0 = one per core this process may use. Throws when negative.
void set_threads(int n);
int threads();

/// To be called first in main(). GCC's OpenMP lets a thread that waits spin for milliseconds: when another
/// program has a core, the spinning thread keeps the last one from the thread it waits for, and everything
/// becomes 30 times slower. The limit is read from the environment when the program is loaded, so the program
/// is started once again with it. Does nothing when the user has chosen (OMP_WAIT_POLICY, GOMP_SPINCOUNT), or
/// when starting again fails.
void limit_spinning(char** argv);

/// Calls body(begin, end) for consecutive pieces of [0, n), each at least `grain` long (but the last), on all
/// threads. The pieces never change a result: every body computes its elements alone. The first exception of
/// a body is thrown again in the caller.
void parallel_rows(i64 n, i64 grain, const std::function<void(i64 begin, i64 end)>& body);

/// Calls body(i) for i in [0, n), handed out one at a time (uneven work).
void parallel_tasks(i64 n, const std::function<void(i64 i)>& body);

}  // namespace pare
