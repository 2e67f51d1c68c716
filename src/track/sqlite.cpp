#include "track/sqlite.h"

#include <sqlite3.h>

#include <limits>

#include "base/clock.h"
#include "base/error.h"

namespace pare {
namespace {

constexpr int kBusy_ms = 30'000;

}  // namespace

Sqlite::Sqlite(const std::filesystem::path& file) : file_(file) {
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const int code = ::sqlite3_open_v2(file.c_str(), &handle_, flags, nullptr);
  const auto refuse = [&] {
    const std::string why = handle_ ? ::sqlite3_errmsg(handle_) : ::sqlite3_errstr(code);
    ::sqlite3_close(handle_);
    return user_error(
        "{}: the database of runs cannot be opened: {}; set PARE_DATA_HOME", file_.string(), why);
  };
  if (code != SQLITE_OK) throw refuse();
  ::sqlite3_busy_timeout(handle_, kBusy_ms);
  // Processes that make the file at the same moment: the one that wants to change the mode while another
  // reads is told so at once, without waiting for the time above.
  const Stopwatch watch;
  const auto busy = [&] { return (::sqlite3_errcode(handle_) & 0xFF) == SQLITE_BUSY; };
  while (::sqlite3_exec(handle_, "pragma journal_mode = wal", nullptr, nullptr, nullptr) != SQLITE_OK) {
    if (!busy() || watch.elapsed_s() * 1000 > kBusy_ms) throw refuse();
    ::sqlite3_sleep(5);
  }
  // A commit may be lost with the machine's power, but never the database: the reader of runs can live with
  // that.
  for (const char* sql : {"pragma synchronous = normal", "pragma foreign_keys = on"})
    if (::sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) throw refuse();
}

Sqlite::~Sqlite() { ::sqlite3_close(handle_); }

void Sqlite::fail(const std::string& doing) const {
  throw job_error("{}: {}: {}", file_.string(), doing, ::sqlite3_errmsg(handle_));
}

void Sqlite::execute(const std::string& sql) {
  if (::sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail("cannot be written");
}

Statement::Statement(Sqlite& db, const char* sql) : db_(db) {
  if (::sqlite3_prepare_v2(db.handle(), sql, -1, &statement_, nullptr) != SQLITE_OK)
    db.fail("unlike its schema");
}

Statement::~Statement() { ::sqlite3_finalize(statement_); }

void Statement::check(int code) {
  if (code != SQLITE_OK) db_.fail("a value cannot be bound");
}

void Statement::bind_one(const std::string& value) {
  check(::sqlite3_bind_text(
      statement_, ++bound_, value.data(), static_cast<int>(value.size()), SQLITE_TRANSIENT));
}
void Statement::bind_one(double value) { check(::sqlite3_bind_double(statement_, ++bound_, value)); }
void Statement::bind_one(i64 value) { check(::sqlite3_bind_int64(statement_, ++bound_, value)); }

void Statement::run() {
  if (next()) throw bug("a statement that only writes gave a row");
  ::sqlite3_reset(statement_);
  ::sqlite3_clear_bindings(statement_);
  bound_ = 0;
}

bool Statement::next() {
  const int code = ::sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) db_.fail("cannot be read or written");
  return false;
}

std::string Statement::text(int column) const {
  const auto* data = reinterpret_cast<const char*>(::sqlite3_column_text(statement_, column));
  return data ? std::string(data, static_cast<std::size_t>(::sqlite3_column_bytes(statement_, column))) : "";
}
i64 Statement::integer(int column) const { return ::sqlite3_column_int64(statement_, column); }
double Statement::real(int column) const {
  return real_or_none(column).value_or(std::numeric_limits<double>::quiet_NaN());
}
std::optional<double> Statement::real_or_none(int column) const {
  if (::sqlite3_column_type(statement_, column) == SQLITE_NULL) return std::nullopt;
  return ::sqlite3_column_double(statement_, column);
}
std::optional<i64> Statement::integer_or_none(int column) const {
  if (::sqlite3_column_type(statement_, column) == SQLITE_NULL) return std::nullopt;
  return ::sqlite3_column_int64(statement_, column);
}

Transaction::~Transaction() {
  if (open_) ::sqlite3_exec(db_.handle(), "rollback", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
  db_.execute("commit");
  open_ = false;
}

}  // namespace pare
