// Memory of mapped files that is not needed for the moment.
#pragma once
#include "base/types.h"

namespace pare {

/// Gives back the memory of whole pages in [data, data + bytes) that belong to a MappedFile; what they hold
/// is read from the file again when it is looked at. Other memory is left alone. Thread-safe.
void release_mapped_pages(const void* data, i64 bytes);

/// Of MappedFile: where mappings are.
void note_mapping(const void* data, i64 bytes);
void forget_mapping(const void* data);

}  // namespace pare
