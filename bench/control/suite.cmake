rtpool_bench(ng_bench SOURCES ${CMAKE_CURRENT_LIST_DIR}/ng_bench.cc DEPS control_ng)
rtpool_bench(sdp_bench SOURCES ${CMAKE_CURRENT_LIST_DIR}/sdp_bench.cc DEPS control_ng control_sdp)
