rtpool_bench(policy_bench SOURCES ${CMAKE_CURRENT_LIST_DIR}/policy_bench.cc DEPS pool)
rtpool_bench(handlespace_bench SOURCES ${CMAKE_CURRENT_LIST_DIR}/handlespace_bench.cc DEPS pool)
