// What a broken input is refused with.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "base/utf8.h"

namespace pare {

/// The message of the user error that `action` throws.
template <class Action>
std::string refusal(Action&& action) {
  try {
    action();
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::user) << e.what();
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << "more than one line: " << e.what();
    EXPECT_TRUE(is_utf8(e.what()));
    return e.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

}  // namespace pare
