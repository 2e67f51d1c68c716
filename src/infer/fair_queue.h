// A waiting line in which clients take turns: one item of each, in the order in which they came, however many
// items one of them has waiting. Within a client: first in, first out.
#pragma once
#include <algorithm>
#include <deque>
#include <map>
#include <string>

#include "base/types.h"

namespace pare {

/// Not thread-safe.
template <class T>
class FairQueue {
 public:
  void push(const std::string& client, T item) {
    std::deque<T>& line = lines_[client];
    if (line.empty()) turns_.push_back(client);
    line.push_back(std::move(item));
    ++count_;
  }
  /// REQUIRES: not empty.
  const T& front() const { return lines_.at(turns_.front()).front(); }
  /// Takes the front out; its client's next turn is behind all others'.
  void pop() {
    const std::string client = turns_.front();
    turns_.pop_front();
    const auto line = lines_.find(client);
    line->second.pop_front();
    --count_;
    if (line->second.empty())
      lines_.erase(line);
    else
      turns_.push_back(client);
  }
  /// Takes an item out wherever it waits; false when it does not.
  bool remove(const std::string& client, const T& item) {
    const auto line = lines_.find(client);
    if (line == lines_.end() || std::erase(line->second, item) == 0) return false;
    --count_;
    if (line->second.empty()) {
      lines_.erase(line);
      std::erase(turns_, client);
    }
    return true;
  }
  i64 count() const { return count_; }
  bool empty() const { return count_ == 0; }

 private:
  std::map<std::string, std::deque<T>> lines_;  // none is empty
  std::deque<std::string> turns_;
  i64 count_ = 0;
};

}  // namespace pare
