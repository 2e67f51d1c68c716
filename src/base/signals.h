// Stopping on SIGINT and SIGTERM at the next safe point, so that a journal entry is never cut in two.
#pragma once

namespace pare {

/// From now on SIGINT and SIGTERM ask for a stop; the second one ends the process at once with 128 + signal.
void catch_signals();

/// True from the first signal (or request_stop()) on. Cheap; any thread.
bool stop_requested();

/// The signal that asked for the stop; 0 when none did.
int stop_signal();

/// Throws a job error when a stop was asked for. Long loops call it where they may stop: between steps,
/// blocks, samples.
void check_stop();

/// Asks for a stop as `signal` would, from inside the program.
void request_stop(int signal);

/// Forgets the request, for tests and for a server that goes on after one cancelled job.
void clear_stop();

}  // namespace pare
