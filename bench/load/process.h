// A relay's process: started with its output kept, pinned to a core, measured through /proc and
// ended by its own id. Linux only. One thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace rtpool::bench {

class Process {
 public:
  // Throws std::system_error when it can't be started (the program is looked for in PATH). `core`
  // < 0 pins it to none. It dies with this one.
  Process(const std::vector<std::string>& command, int core);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool running();
  // SIGTERM, then after some seconds SIGKILL, which gives false.
  bool stop();
  // The end of what it printed.
  [[nodiscard]] std::string output_tail(std::size_t bytes = 2000) const;

 private:
  pid_t pid_ = -1;
  int output_ = -1;
};

// Processor time of a process, by two counts. `threads_ns` is exact to the nanosecond but lacks
// threads that have ended; `process_ns` has them and is exact to a tick of the kernel's.
// Both hold what interrupts and the network stack did on the process's account.
struct CpuTime {
  std::int64_t threads_ns = 0, process_ns = 0;
};
CpuTime cpu_time(pid_t pid);

// Memory that a process holds: its proportional set, and the kernel's own on everyone's account,
// so that only differences mean anything.
struct Memory {
  std::int64_t process_kib = 0;  // Pss
  std::int64_t kernel_kib = 0;   // slab (sockets, datagrams), stacks, page tables, percpu
};
Memory memory_of(pid_t pid);

// What the whole machine's processors did since it started, in nanoseconds, to a tick of the
// kernel's.
struct MachineTime {
  std::int64_t busy_ns = 0;    // all processes and the kernel
  std::int64_t stolen_ns = 0;  // taken by the hypervisor
};
MachineTime machine_time();

// False when there is no such core. The thread's priority stays as it is: one that spins above
// others would starve the kernel's own softirq thread, which delivers what it sends.
bool pin_this_thread(int core);
int last_core();
// As many file descriptors as the hard limit allows.
void raise_file_limit();

struct Machine {
  std::string processor, kernel;
  int cores = 0;
};
Machine this_machine();

}  // namespace rtpool::bench
