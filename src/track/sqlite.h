// SQLite as values: a connection and a bound statement that throw.
//
// Only track/ includes it. Values are always bound, never written into the text of a statement.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/types.h"

struct sqlite3;
struct sqlite3_stmt;

namespace pare {

/// One connection. Not thread-safe; one per thread.
class Sqlite {
 public:
  /// Opens or makes the file: WAL, foreign keys on, waits up to 30 s for other writers. Throws a user error
  /// when it cannot be opened or is no database.
  explicit Sqlite(const std::filesystem::path& file);
  ~Sqlite();
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  /// Statements without values. Throws a job error (disk full, read-only, locked too long).
  void execute(const std::string& sql);
  [[noreturn]] void fail(const std::string& doing) const;
  const std::filesystem::path& file() const { return file_; }
  sqlite3* handle() const { return handle_; }

 private:
  std::filesystem::path file_;
  sqlite3* handle_ = nullptr;
};

/// A prepared statement: bind the values in order, then run() it or step through its rows with next().
class Statement {
 public:
  Statement(Sqlite& db, const char* sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  /// Binds the next parameters. NaN is stored as null, as SQLite does.
  template <class... Values>
  Statement& bind(const Values&... values) {
    (bind_one(values), ...);
    return *this;
  }
  /// Runs a statement that gives no rows and makes it ready for the next values.
  void run();
  /// The next row, if there is one.
  bool next();

  std::string text(int column) const;
  i64 integer(int column) const;
  /// NaN for null.
  double real(int column) const;
  std::optional<double> real_or_none(int column) const;
  std::optional<i64> integer_or_none(int column) const;

 private:
  void bind_one(const std::string& value);
  void bind_one(double value);
  void bind_one(i64 value);
  void bind_one(int value) { bind_one(static_cast<i64>(value)); }
  void bind_one(bool value) { bind_one(static_cast<i64>(value)); }
  template <class Value>
  void bind_one(const std::optional<Value>& value) {
    if (value)
      bind_one(*value);
    else
      ++bound_;
  }
  void check(int code);

  Sqlite& db_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

/// Everything until commit() happens or nothing does. Takes the write lock at once.
class Transaction {
 public:
  explicit Transaction(Sqlite& db) : db_(db) { db_.execute("begin immediate"); }
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Sqlite& db_;
  bool open_ = true;
};

}  // namespace pare
