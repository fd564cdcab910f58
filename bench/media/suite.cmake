rtpool_bench(media_bench SOURCES ${CMAKE_CURRENT_LIST_DIR}/media_bench.cc DEPS relay_media)
rtpool_bench(gate_bench SOURCES ${CMAKE_CURRENT_LIST_DIR}/gate_bench.cc DEPS relay_media)
