#include "bench/load/process.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace rtpool::bench {
namespace {

constexpr int kStopTries = 500;  // of 10 ms

// One core, or with -1 all of them.
cpu_set_t only(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (core < 0 || i == core) CPU_SET(static_cast<std::size_t>(i), &set);
  }
  return set;
}

std::string read_all(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The number after a name at the start of a line, such as `Slab:   280 kB`; 0 when there is none.
std::int64_t number_after(const std::string& text, const std::string& name) {
  const auto at = ("\n" + text).find("\n" + name);
  if (at == std::string::npos) return 0;
  std::istringstream rest(text.substr(at + name.size()));
  std::int64_t number = 0;
  rest >> number;
  return number;
}

[[noreturn]] void become(const std::vector<std::string>& command, int core, int output,
                         int report) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const cpu_set_t set = only(core);  // this thread's own was inherited
  sched_setaffinity(0, sizeof set, &set);
  const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(nothing, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  const int error = errno;
  (void)!write(report, &error, sizeof error);
  _exit(127);
}

}  // namespace

Process::Process(const std::vector<std::string>& command, int core) {
  output_ = memfd_create("output", MFD_CLOEXEC);
  int report[2];
  if (output_ < 0 || pipe2(report, O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::generic_category(), "starting " + command[0]);
  }
  pid_ = fork();
  if (pid_ == 0) become(command, core, output_, report[1]);
  close(report[1]);
  int error = pid_ < 0 ? errno : 0;
  if (pid_ > 0 && read(report[0], &error, sizeof error) == sizeof error) {
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  close(report[0]);
  if (pid_ < 0) {
    close(output_);
    throw std::system_error(error, std::generic_category(), "starting " + command[0]);
  }
}

Process::~Process() {
  stop();
  close(output_);
}

bool Process::running() {
  if (pid_ < 0) return false;
  if (waitpid(pid_, nullptr, WNOHANG) != pid_) return true;
  pid_ = -1;
  return false;
}

bool Process::stop() {
  if (!running()) return true;
  kill(pid_, SIGTERM);
  for (int i = 0; i < kStopTries; ++i) {
    if (!running()) return true;
    usleep(10'000);
  }
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
  return false;
}

std::string Process::output_tail(std::size_t bytes) const {
  struct stat status {};
  fstat(output_, &status);
  const off_t size = status.st_size;
  const off_t from = std::max<off_t>(size - static_cast<off_t>(bytes), 0);
  std::string text(static_cast<std::size_t>(size - from), '\0');
  const ssize_t got = pread(output_, text.data(), text.size(), from);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

CpuTime cpu_time(pid_t pid) {
  const std::filesystem::path folder = "/proc/" + std::to_string(pid);
  CpuTime time;
  std::error_code gone;
  for (const auto& task : std::filesystem::directory_iterator(folder / "task", gone)) {
    std::ifstream file(task.path() / "schedstat");
    std::int64_t ran = 0;
    if (file >> ran) time.threads_ns += ran;
  }
  const std::string stat = read_all(folder / "stat");
  const auto name_end = stat.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) return time;
  std::istringstream fields(stat.substr(name_end + 2));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  std::int64_t user = 0, system = 0;
  fields >> user >> system;
  time.process_ns = (user + system) * (1'000'000'000 / sysconf(_SC_CLK_TCK));
  return time;
}

Memory memory_of(pid_t pid) {
  const std::string memory = read_all("/proc/meminfo");
  const std::string rollup = read_all("/proc/" + std::to_string(pid) + "/smaps_rollup");
  Memory result;
  result.process_kib = number_after(rollup, "Pss:");
  for (const char* name : {"Slab:", "KernelStack:", "PageTables:", "Percpu:"}) {
    result.kernel_kib += number_after(memory, name);
  }
  // Not what /proc/net/sockstat says of UDP: that is what sockets may use, a page kept by each that
  // has ever received; datagrams that wait are in the slabs.
  return result;
}

// The first line: cpu user nice system idle iowait irq softirq steal …
MachineTime machine_time() {
  std::istringstream fields(read_all("/proc/stat"));
  std::string name;
  std::array<std::int64_t, 8> ticks{};
  fields >> name;
  for (std::int64_t& value : ticks) fields >> value;
  const std::int64_t tick_ns = 1'000'000'000 / sysconf(_SC_CLK_TCK);
  return {.busy_ns = (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]) * tick_ns,
          .stolen_ns = ticks[7] * tick_ns};
}

bool pin_this_thread(int core) {
  const cpu_set_t set = only(core);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

int last_core() {
  return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)) - 1;
}

void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

Machine this_machine() {
  Machine machine;
  const std::string information = read_all("/proc/cpuinfo");
  const auto at = information.find("model name");
  if (at != std::string::npos) {
    const auto from = information.find(": ", at) + 2;
    machine.processor = information.substr(from, information.find('\n', from) - from);
  }
  utsname names{};
  uname(&names);
  machine.kernel = names.release;
  machine.cores = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  return machine;
}

}  // namespace rtpool::bench
