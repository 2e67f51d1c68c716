// Pages of a mapped file are given back and come again from the file; memory that is not mapped keeps what it
// holds.
#include "base/mapped_pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/file.h"

namespace pare {
namespace {
namespace fs = std::filesystem;

/// Pages of [data, data + bytes) that have an entry in this process's page table.
i64 present_pages(const u8* data, i64 bytes) {
  const i64 page = ::sysconf(_SC_PAGESIZE);
  std::FILE* map = std::fopen("/proc/self/pagemap", "rb");
  if (!map) return -1;
  i64 present = 0;
  for (i64 at = 0; at < bytes; at += page) {
    u64 entry = 0;
    std::fseek(map, static_cast<long>((reinterpret_cast<std::uintptr_t>(data) + at) / page * 8), SEEK_SET);
    if (std::fread(&entry, 8, 1, map) == 1) present += entry >> 63;
  }
  std::fclose(map);
  return present;
}

TEST(MappedPages, are_given_back_and_read_again) {
  const fs::path file = temporary_beside(fs::temp_directory_path() / "pages");
  std::string content(1 << 20, 'x');
  for (std::size_t i = 0; i < content.size(); i += 1000) content[i] = static_cast<char>('a' + i % 26);
  write_file_atomic(file, content);
  const auto map = MappedFile::open(file);
  ASSERT_TRUE(std::equal(content.begin(), content.end(), map->data()));
  const i64 before = present_pages(map->data(), map->bytes());
  release_mapped_pages(map->data() + 10, map->bytes() - 10);
  const i64 after = present_pages(map->data(), map->bytes());
  if (before > 0) {
    EXPECT_EQ(before, map->bytes() / ::sysconf(_SC_PAGESIZE));
    EXPECT_LE(after, 1) << "the first page is not whole in the range";
  }
  EXPECT_TRUE(std::equal(content.begin(), content.end(), map->data()));
  fs::remove(file);
}

TEST(MappedPages, other_memory_is_left_alone) {
  std::vector<u8> own(1 << 20, 7);
  release_mapped_pages(own.data(), static_cast<i64>(own.size()));
  EXPECT_EQ(std::count(own.begin(), own.end(), 7), static_cast<long>(own.size()));
  const fs::path file = temporary_beside(fs::temp_directory_path() / "pages");
  write_file_atomic(file, std::string(8192, 'y'));
  const u8* gone = nullptr;
  {
    const auto map = MappedFile::open(file);
    gone = map->data();
    release_mapped_pages(map->data(), map->bytes() + 4096);  // more than is mapped: nothing happens
    EXPECT_EQ(map->data()[5000], 'y');
  }
  release_mapped_pages(gone, 8192);
  release_mapped_pages(nullptr, 0);
  fs::remove(file);
}

}  // namespace
}  // namespace pare
