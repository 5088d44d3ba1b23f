// SPDX-License-Identifier: Apache-2.0
#include "agent/app/run.hpp"

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fmt/format.h>
#include <future>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>

#include "agent/app/check.hpp"
#include "agent/app/control.hpp"
#include "agent/app/cost_ceiling.hpp"
#include "agent/app/node.hpp"
#include "agent/app/scraper.hpp"
#include "agent/app/sd_notify.hpp"
#include "agent/base/clock.hpp"
#include "agent/base/log.hpp"
#include "agent/proc/service_table.hpp"
#include "agent/web/page.hpp"
#include "agent/web/server.hpp"

namespace sonde::app {

namespace {

constexpr auto kCheckAgain = std::chrono::milliseconds(20);
constexpr std::string_view kTextFormat = "text/plain; version=0.0.4; charset=utf-8";

// Readiness as the web threads see it: empty when ready.
class Readiness {
public:
  void set(std::string reason)
  {
    const std::scoped_lock lock(mutex_);
    reason_ = std::move(reason);
  }
  std::string get() const
  {
    const std::scoped_lock lock(mutex_);
    return reason_;
  }

private:
  mutable std::mutex mutex_;
  std::string reason_ = "self-check: starting";
};

sigset_t handled_signals()
{
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP})
    sigaddset(&set, signal);
  return set;
}

// A service manager that does not listen is no reason to end.
void tell(const Result<>& told)
{
  if (!told)
    log::warn("service manager not told", {{"reason", told.error().message()}});
}

std::string clock_text(std::uint64_t wall)
{
  const auto time = static_cast<std::time_t>(wall / 1'000'000'000U);
  std::tm utc{};
  gmtime_r(&time, &utc);
  return fmt::format("{:02}:{:02}:{:02} UTC", utc.tm_hour, utc.tm_min, utc.tm_sec);
}

class RunningAgent {
public:
  RunningAgent(const Invocation& invocation, const Settings& settings)
      : invocation_(invocation), settings_(settings)
  {
  }
  ~RunningAgent() { server_.reset(); }
  RunningAgent(const RunningAgent&) = delete;
  RunningAgent& operator=(const RunningAgent&) = delete;

  Result<> start();
  Result<> run() { return node_->loop().run(); }

private:
  Result<> handle_signals();
  void listen_for_commands();
  void on_signal();
  void check();
  bool reload();
  web::Router routes();
  web::Response metrics(const web::Request& request);
  web::Response reload_by_post(const web::Request& request);
  web::Response page();

  const Invocation& invocation_;
  const Settings& settings_;
  const std::uint64_t started_ns_ = monotonic_ns();
  ServiceManager manager_;
  Readiness readiness_;
  std::atomic<int> scraping_{0};
  std::unique_ptr<Node> node_;
  std::unique_ptr<NodeCollectors> collectors_;
  std::unique_ptr<Scraper> scraper_;
  std::unique_ptr<CostCeiling> ceiling_;
  std::unique_ptr<Control> control_;
  UniqueFd signals_;
  EventLoop::Watch signal_watch_;
  EventLoop::Timer check_timer_;
  EventLoop::Timer watchdog_;
  std::unique_ptr<web::Server> server_;
};

Result<> RunningAgent::start()
{
  manager_ = SONDE_TRY(ServiceManager::from_environment());
  collectors_ = SONDE_TRY(NodeCollectors::create(paths_of(settings_), settings_));
  node_ = SONDE_TRY(Node::create(settings_, paths_of(settings_)));
  scraper_ = std::make_unique<Scraper>(
      *node_, *collectors_, static_cast<std::size_t>(settings_.integer("series.max")));
  scraper_->reloaded(true);
  SONDE_TRY(handle_signals());
  web::Options options;
  options.listen = settings_.texts("web.listen-address");
  server_ = SONDE_TRY(web::Server::start(options, routes()));
  for (const auto& endpoint : server_->endpoints())
    log::info("listening", {{"address", web::text_of(endpoint)}});
  listen_for_commands();
  if (const double ratio = settings_.number("bpf.max-cpu-ratio"); ratio > 0)
    ceiling_ = SONDE_TRY(CostCeiling::create(*node_, ratio));
  check_timer_ = SONDE_TRY(node_->loop().timer([this] { check(); }));
  check_timer_.arm_once(std::chrono::nanoseconds(1));
  if (const auto limit = manager_.watchdog()) {
    watchdog_ = SONDE_TRY(node_->loop().timer([this] { tell(manager_.alive()); }));
    watchdog_.arm_every(*limit / 2);
  }
  return {};
}

// Without it the agent lacks `sonde tail` and `sonde explain`, and nothing else.
void RunningAgent::listen_for_commands()
{
  const auto path = settings_.text("control.socket");
  if (path.empty())
    return;
  auto control = Control::start(*node_, path);
  if (control)
    control_ = *std::move(control);
  else
    log::warn("sonde tail and sonde explain will find no agent",
              {{"reason", control.error().message()}});
}

Result<> RunningAgent::handle_signals()
{
  const auto set = handled_signals();
  signals_ = UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_)
    return fail(errno, "signalfd");
  signal_watch_ = SONDE_TRY(node_->loop().watch(signals_.get(), EPOLLIN, [this] { on_signal(); }));
  return {};
}

void RunningAgent::on_signal()
{
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGHUP) {
      reload();
      continue;
    }
    log::info("stopping", {{"signal", strsignal(static_cast<int>(info.ssi_signo))}});
    tell(manager_.stopping());
    node_->loop().stop();
  }
}

// Ready once every probe has seen events of its own making; a node without probes is ready too.
void RunningAgent::check()
{
  if (const auto checked = node_->self_check(); !checked) {
    readiness_.set("self-check: " + checked.error().message());
    check_timer_.arm_once(kCheckAgain);
    return;
  }
  readiness_.set({});
  std::size_t up = 0;
  const auto hooks = node_->hooks().all();
  for (const auto& hook : hooks)
    up += hook.up ? 1 : 0;
  const auto state = up == 0 ? "ready, degraded: no hook is attached" : "ready";
  log::info(state,
            {{"hooks", fmt::format("{}/{}", up, hooks.size())},
             {"seconds", fmt::format("{:.3f}", seconds(monotonic_ns() - started_ns_))}});
  tell(manager_.ready());
  tell(manager_.status(fmt::format("{}: {} of {} hooks attached", state, up, hooks.size())));
}

bool RunningAgent::reload()
{
  tell(manager_.reloading());
  const auto settings = resolve_settings(declarations(), invocation_);
  scraper_->reloaded(settings.has_value());
  if (settings) {
    const auto level = log::parse_level(settings->text("log.level"));
    const auto format = log::parse_format(settings->text("log.format"));
    if (level && format)
      log::configure(*level, *format);
    node_->apply(*settings);
    log::info("configuration reloaded");
  } else {
    log::error("configuration not reloaded", {{"reason", settings.error().message()}});
  }
  tell(manager_.ready());
  return settings.has_value();
}

web::Response RunningAgent::metrics(const web::Request& request)
{
  std::vector<std::string> collect;
  std::vector<std::string> exclude;
  for (const auto& [key, value] : request.query) {
    if (key == "collect[]")
      collect.push_back(value);
    else if (key == "exclude[]")
      exclude.push_back(value);
  }
  const auto filter = collectors_->make_filter(collect, exclude);
  if (!filter)
    return web::plain(400, filter.error().message() + "\n");
  const auto limit = settings_.integer("web.max-requests");
  const int others = scraping_.fetch_add(1);
  web::Response response;
  if (limit > 0 && others >= limit)
    response = web::plain(503, "Limit of concurrent requests reached, try again later.\n");
  else
    response = {.content_type = std::string(kTextFormat),
                .body = scraper_->scrape(*filter, collect.empty())};
  scraping_.fetch_sub(1);
  return response;
}

// The loop's thread reloads; the web thread waits for it.
web::Response RunningAgent::reload_by_post(const web::Request& request)
{
  if (!request.from_loopback)
    return web::plain(403, "Reload is allowed from loopback only.\n");
  auto done = std::make_shared<std::promise<bool>>();
  auto outcome = done->get_future();
  node_->loop().post([this, done] { done->set_value(reload()); });
  if (outcome.wait_for(std::chrono::seconds(5)) != std::future_status::ready)
    return web::plain(500, "The reload has not ended in 5 s.\n");
  return outcome.get() ? web::plain(200, "reloaded\n")
                       : web::plain(500, "The configuration has errors; see the log.\n");
}

web::Response RunningAgent::page()
{
  utsname kernel{};
  ::uname(&kernel);
  web::Page page{.node = kernel.nodename,
                 .version = SONDE_VERSION,
                 .kernel_release = kernel.release,
                 .uptime = std::chrono::seconds((monotonic_ns() - started_ns_) / 1'000'000'000U),
                 .ready = readiness_.get().empty()};
  page.metrics_path = settings_.text("web.telemetry-path");
  page.listen = settings_.texts("web.listen-address");
  if (const auto* services = node_->services(); services != nullptr)
    page.services = services->table()->size();
  for (const auto& hook : node_->hooks().all())
    page.probes.push_back({hook.probe, hook.hook, hook.up, hook.reason});
  for (const auto& outlier : node_->outliers().all())
    page.outliers.push_back(
        {.when = clock_text(outlier.wall_ns),
         .kind = outlier.family,
         .service = outlier.service,
         .process = fmt::format("{} ({})", outlier.command, outlier.pid),
         .duration = fmt::format("{:.1f} ms", static_cast<double>(outlier.value_ns) / 1e6)});
  return {.content_type = "text/html; charset=utf-8", .body = web::render(page)};
}

web::Router RunningAgent::routes()
{
  web::Router router;
  router.get(settings_.text("web.telemetry-path"),
             [this](const web::Request& request) { return metrics(request); });
  router.get("/", [this](const web::Request&) { return page(); });
  router.get("/-/healthy", [](const web::Request&) { return web::plain(200, "healthy\n"); });
  router.get("/-/ready", [this](const web::Request&) {
    const auto reason = readiness_.get();
    return reason.empty() ? web::plain(200, "ready\n") : web::plain(503, reason + "\n");
  });
  router.get("/outliers", [this](const web::Request&) {
    return web::Response{.content_type = "application/json", .body = node_->outliers().json()};
  });
  router.post("/-/reload", [this](const web::Request& request) { return reload_by_post(request); });
  return router;
}

Result<> dry_run(const Settings& settings)
{
  const auto node = SONDE_TRY(Node::create(settings, paths_of(settings)));
  fmt::print("Hooks\n");
  for (const auto& hook : node->hooks().all())
    fmt::print(
        "  {:<4} {:<10} {:<32} {}\n", hook.up ? "yes" : "no", hook.probe, hook.hook, hook.reason);
  fmt::print("Services\n");
  if (const auto* services = node->services(); services != nullptr)
    for (const auto& service : *services->table())
      fmt::print("  {:<40} {} instances\n", service.name, service.instances);
  return {};
}

}  // namespace

Result<> run(const Invocation& invocation, const Settings& settings)
{
  if (invocation.dry_run)
    return dry_run(settings);
  // Before any thread exists: they all inherit the mask, and the loop reads the signals.
  const auto set = handled_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  RunningAgent agent(invocation, settings);
  SONDE_TRY(agent.start());
  return agent.run();
}

Result<std::vector<Hooks::Hook>> try_hooks(const Settings& settings)
{
  const auto node = SONDE_TRY(Node::create(settings, paths_of(settings)));
  return node->hooks().all();
}

}  // namespace sonde::app
