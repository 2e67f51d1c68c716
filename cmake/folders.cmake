# One library per folder of src/, in order of dependence: each may use the ones before it.
# tools/check_layers.py reads this very list, so it is written once.
set(PARE_FOLDERS
  base tensor ops weights io store text model infer compress train track measure eval stages pipeline serve cli)

# g++ 12 sees what is not there in std::string and fmt, more so when their headers are precompiled
# (a stringop-overread in = "text", a restrict in "a" + string).
add_library(pare_warnings INTERFACE)
target_compile_options(pare_warnings INTERFACE
  -Wall -Wextra -Wshadow=local -Wconversion -Wno-sign-conversion -Wno-stringop-overflow -Wno-stringop-overread -Wno-array-bounds -Wno-restrict -Wno-maybe-uninitialized -Werror)

# What every folder may use. Objects are compiled for the lowest supported CPU; faster code is chosen at
# run time by Highway, so no -march beyond this one may appear anywhere.
add_library(pare_common INTERFACE)
target_include_directories(pare_common INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(pare_common INTERFACE
  OpenMP::OpenMP_CXX Threads::Threads OpenSSL::Crypto CURL::libcurl SQLite::SQLite3 fmt::fmt spdlog::spdlog_header_only
  nlohmann_json::nlohmann_json yaml-cpp CLI11::CLI11 PkgConfig::hwy PkgConfig::pcre2)
# -ffp-contract=off: a fused multiply-add is written where it is meant, so bits do not depend on the optimiser.
target_compile_options(pare_common INTERFACE -ffp-contract=off)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(pare_common INTERFACE -march=x86-64-v2)
endif()
# Highway compiles each *_cpu.cpp once per tier of base/isa.h. By default it leaves out the tiers below the one that
# -march implies; x86-64-v2 implies SSSE3 (Highway's SSE4 also wants AES), which nobody would run for its own
# sake. With SSSE3 disabled the base is SCALAR, so scalar is a real tier; AVX3_DL has to be asked for. SVE is off
# until someone tests it.
target_compile_definitions(pare_common INTERFACE
  HWY_WANT_AVX3_DL HWY_DISABLED_TARGETS=\(HWY_SSSE3|HWY_SVE|HWY_SVE2|HWY_SVE_256|HWY_SVE2_128\)
  PARE_VERSION="${PROJECT_VERSION}")

# The headers that most files include anyway, compiled once: builds take half the time. Files still include
# what they use.
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/pch.cpp CONTENT "")
add_library(pare_pch OBJECT ${CMAKE_BINARY_DIR}/pch.cpp)
target_link_libraries(pare_pch PRIVATE pare_common)
target_precompile_headers(pare_pch PRIVATE
  <algorithm> <filesystem> <functional> <map> <memory> <optional> <span> <string> <vector>
  <fmt/format.h> <nlohmann/json.hpp>)

# Stages and measures register themselves: these folders are object libraries, or the linker would drop files that
# nobody calls by name.
set(PARE_SELF_REGISTERING measure eval stages)

set(below pare_common)
foreach(folder IN LISTS PARE_FOLDERS)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${folder}/*.cpp)
  if(NOT sources)
    add_library(pare_${folder} INTERFACE)
    target_link_libraries(pare_${folder} INTERFACE ${below})
  elseif(folder IN_LIST PARE_SELF_REGISTERING)
    add_library(pare_${folder}_objects OBJECT ${sources})
    target_link_libraries(pare_${folder}_objects PRIVATE pare_common pare_warnings)
    target_precompile_headers(pare_${folder}_objects REUSE_FROM pare_pch)
    add_library(pare_${folder} INTERFACE)
    target_link_libraries(pare_${folder} INTERFACE ${below})
    target_sources(pare_${folder} INTERFACE $<TARGET_OBJECTS:pare_${folder}_objects>)
  else()
    add_library(pare_${folder} STATIC ${sources})
    target_link_libraries(pare_${folder} PUBLIC ${below} PRIVATE pare_warnings)
    target_precompile_headers(pare_${folder} REUSE_FROM pare_pch)
  endif()
  set(below pare_${folder})
endforeach()

# What one folder alone uses.
target_link_libraries(pare_text PRIVATE simdjson::simdjson PkgConfig::utf8proc PkgConfig::sentencepiece)
target_link_libraries(pare_serve PRIVATE PkgConfig::httplib)
# The chat page is an HTML file in the tree and a string in the program.
file(READ ${CMAKE_SOURCE_DIR}/src/serve/chat_page.html PARE_CHAT_PAGE)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/serve/chat_page.html)
configure_file(${CMAKE_SOURCE_DIR}/src/serve/chat_page.cpp.in ${CMAKE_BINARY_DIR}/chat_page.cpp @ONLY)
target_sources(pare_serve PRIVATE ${CMAKE_BINARY_DIR}/chat_page.cpp)
foreach(folder ops compress)
  target_link_libraries(pare_${folder} PRIVATE Eigen3::Eigen)
  target_compile_definitions(pare_${folder} PRIVATE EIGEN_DONT_PARALLELIZE)
endforeach()
