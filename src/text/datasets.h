// Data files: question-answer records as JSON Lines, and plain text.
//
// Lines end with \n or \r\n; the last one need not. Lines of blanks only are skipped. A byte-order mark at
// the start is skipped.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "base/types.h"
#include "text/sums.h"

namespace pare {

/// The first `limit` (0 = all) records of a GSM8K-style file: one object a line with the texts "question" and
/// "answer"; other keys are ignored. Lines behind the limit are not looked at. Throws a user error
/// "file:line: …" for anything else, and for a file without a record.
std::vector<Problem> read_problems(const std::filesystem::path& file, i64 limit = 0);

/// The first `limit` (0 = all) documents of a text file, which `<|endoftext|>` separates; blanks around each
/// are removed, empty ones skipped. \r\n becomes \n. Throws a user error "file:line: …" for bytes that are
/// not UTF-8, and for a file without text.
std::vector<std::string> read_documents(const std::filesystem::path& file, i64 limit = 0);

}  // namespace pare
