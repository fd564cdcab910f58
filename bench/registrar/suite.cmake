add_executable(registrar-bench ${CMAKE_CURRENT_LIST_DIR}/registrar_bench.cc
  ${CMAKE_CURRENT_LIST_DIR}/load.cc ${CMAKE_CURRENT_LIST_DIR}/population.cc)
target_link_libraries(registrar-bench PRIVATE rtpool_options pool pool_proto CLI11::CLI11
  nlohmann_json::nlohmann_json)
set_target_properties(registrar-bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
# Only that everything runs: figures come from a run of its own.
add_test(NAME registrar_bench COMMAND registrar-bench resolve register watch --seconds 0.2)
set_tests_properties(registrar_bench PROPERTIES LABELS bench TIMEOUT 120)
