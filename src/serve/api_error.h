// What a client is refused with: an HTTP status and the error object of the OpenAI API.
#pragma once
#include <stdexcept>
#include <string>

#include "base/json.h"

namespace pare {

/// Thrown where a request is read and run; the HTTP handler makes the reply of it.
class ApiError : public std::runtime_error {
 public:
  ApiError(int status, const std::string& message, std::string param = "", std::string code = "")
      : std::runtime_error(message), status_(status), param_(std::move(param)), code_(std::move(code)) {}

  int status() const { return status_; }
  /// {"error": {"message", "type", "param", "code"}}; type follows from the status.
  json body() const {
    const char* type = status_ == 401   ? "authentication_error"
                       : status_ == 429 ? "rate_limit_error"
                       : status_ >= 500 ? "server_error"
                                        : "invalid_request_error";
    const auto or_null = [](const std::string& text) { return text.empty() ? json() : json(text); };
    return {{"error",
             {{"message", what()}, {"type", type}, {"param", or_null(param_)}, {"code", or_null(code_)}}}};
  }

 private:
  int status_;
  std::string param_, code_;
};

}  // namespace pare
