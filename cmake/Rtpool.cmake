# What every target of the project shares: warnings, sanitizers, and three functions that
# declare a library, a test and a fuzz target in one line each.
include_guard()
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

# The linker that is quickest of those installed.
find_program(RTPOOL_MOLD mold)
if(RTPOOL_MOLD AND NOT RTPOOL_FUZZ)
  add_link_options(-fuse-ld=mold)
endif()
find_program(RTPOOL_CCACHE ccache)
if(RTPOOL_CCACHE)
  # One cache serves every checkout, wherever it lies.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}
      CCACHE_NOHASHDIR=1 ${RTPOOL_CCACHE})
endif()

add_library(rtpool_options INTERFACE)
target_include_directories(rtpool_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(rtpool_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  -Wold-style-cast -Woverloaded-virtual -Werror -fno-omit-frame-pointer)
target_link_libraries(rtpool_options INTERFACE Threads::Threads)
# GCC 12 reports these two inside the standard library at -O2; both are known false alarms.
target_compile_options(rtpool_options INTERFACE
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict -Wno-maybe-uninitialized -Wno-stringop-overread
  -Wno-array-bounds -Wno-stringop-overflow -Wno-missing-field-initializers>
  $<$<CXX_COMPILER_ID:Clang>:-Wno-missing-field-initializers>)
if(RTPOOL_SANITIZE)
  add_compile_options(-fsanitize=${RTPOOL_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${RTPOOL_SANITIZE})
endif()
# GCC warns of fences, which ThreadSanitizer does not model; Asio has one.
if(RTPOOL_SANITIZE STREQUAL "thread")
  add_compile_options(-Wno-tsan)
endif()
if(RTPOOL_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()
if(RTPOOL_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# rtpool_library(NAME [DEPS ...]): all .cc and .h of the current folder (not of its subfolders).
# The headers become a header set, so that `all_verify_interface_header_sets` compiles each alone;
# PRIVATE_HEADERS are left out: those that need PRIVATE_DEPS (generated code) and that nobody outside includes.
function(rtpool_library name)
  cmake_parse_arguments(ARG "" "" "DEPS;PRIVATE_DEPS;PRIVATE_HEADERS;SOURCES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.h)
  foreach(header ${ARG_PRIVATE_HEADERS})
    list(REMOVE_ITEM headers ${CMAKE_CURRENT_SOURCE_DIR}/${header})
  endforeach()
  if(sources OR ARG_SOURCES)
    add_library(${name} STATIC ${sources} ${ARG_SOURCES})
    set(scope PUBLIC)
  else()
    add_library(${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  set_target_properties(${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  if(headers)
    target_sources(${name} ${scope} FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${headers})
  endif()
  target_link_libraries(${name} ${scope} rtpool_options ${ARG_DEPS})
  if(ARG_PRIVATE_DEPS AND scope STREQUAL PUBLIC)
    target_link_libraries(${name} PRIVATE ${ARG_PRIVATE_DEPS})
  endif()
endfunction()

# rtpool_test(NAME LABEL unit SOURCES a_test.cc [DEPS ...] [TIMEOUT s]): one GoogleTest binary, one ctest
# entry, which keeps the list readable; `NAME --gtest_filter=…` runs one case of it.
function(rtpool_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "SOURCES;DEPS" ${ARGN})
  foreach(source ${ARG_SOURCES})
    cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} OUTPUT_VARIABLE path)
    if(NOT EXISTS ${path})
      message(WARNING "test ${name} has no source ${source}")
      list(REMOVE_ITEM ARG_SOURCES ${source})
    endif()
  endforeach()
  if(RTPOOL_FUZZ OR NOT ARG_SOURCES)
    return()
  endif()
  find_package(GTest REQUIRED)
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE rtpool_options ${ARG_DEPS} GTest::gmock GTest::gtest GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT})
endfunction()

# rtpool_fuzz(NAME SOURCE DEPS ...): with RTPOOL_FUZZ a libFuzzer binary; otherwise a program that runs
# the committed corpus tests/fuzz/corpus/NAME through the same function as a test.
function(rtpool_fuzz name source)
  if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${source})
    message(WARNING "fuzz target ${name} has no source ${source}")
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE rtpool_options ${ARG_DEPS})
  if(RTPOOL_FUZZ)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/fuzz/replay_main.cc)
    add_test(NAME ${name}_corpus COMMAND ${name} ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
    set_tests_properties(${name}_corpus PROPERTIES LABELS fuzz TIMEOUT 120)
  endif()
endfunction()

# rtpool_proto(NAME file.proto): generated protobuf and gRPC code as a library of its own, compiled
# without our warnings. Its types stop at *_service.cc and *_codec.cc.
function(rtpool_proto name proto)
  find_program(RTPOOL_PROTOC protoc REQUIRED)
  find_program(RTPOOL_GRPC_PLUGIN grpc_cpp_plugin REQUIRED)
  pkg_check_modules(GRPCPP REQUIRED IMPORTED_TARGET grpc++)
  pkg_check_modules(PROTOBUF REQUIRED IMPORTED_TARGET protobuf)
  cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR BASE_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE here)
  cmake_path(GET proto STEM stem)
  cmake_path(GET proto PARENT_PATH folder)
  set(base ${PROJECT_BINARY_DIR}/generated/${here}/${folder}/${stem})
  add_custom_command(
    OUTPUT ${base}.pb.cc ${base}.pb.h ${base}.grpc.pb.cc ${base}.grpc.pb.h
    COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/generated
    COMMAND ${RTPOOL_PROTOC} -I ${PROJECT_SOURCE_DIR} --cpp_out=${PROJECT_BINARY_DIR}/generated
            --grpc_out=${PROJECT_BINARY_DIR}/generated --plugin=protoc-gen-grpc=${RTPOOL_GRPC_PLUGIN}
            ${here}/${proto}
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${proto} VERBATIM)
  add_library(${name} STATIC ${base}.pb.cc ${base}.grpc.pb.cc ${base}.pb.h ${base}.grpc.pb.h)
  target_include_directories(${name} SYSTEM PUBLIC ${PROJECT_BINARY_DIR}/generated)
  target_link_libraries(${name} PUBLIC PkgConfig::GRPCPP PkgConfig::PROTOBUF Threads::Threads)
endfunction()
