rtpool_bench(relay_bench SOURCES ${CMAKE_CURRENT_LIST_DIR}/relay_bench.cc DEPS relay)
