// A function of the core run on a thread of libuv's pool, its result as a promise.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "binding.h"

namespace safetensors {

// The value of work that is done for its effect.
struct Nothing {};

inline Napi::Value WrapNothing(Napi::Env env, Nothing) { return env.Undefined(); }

// Deletes itself when it is done. Node waits for work on its pool before an environment ends, and
// completes it on the JavaScript thread; settling a promise there fails quietly when no JavaScript
// can run any more.
template <typename T>
class PromiseWork : public Napi::AsyncWorker {
 public:
  using Run = std::function<Result<T>()>;                 // any thread; no JavaScript
  using Wrap = std::function<Napi::Value(Napi::Env, T)>;  // JavaScript thread

  // `keep_alive` stays reachable until the work is done: `run` writes into its memory.
  static Napi::Value Start(Napi::Env env, const Napi::Object& keep_alive, Run run, Wrap wrap) {
    // Not Napi::Promise::Deferred: while a thread is being terminated no promise can be made, and
    // its promise is then whatever the stack holds, which crashes Node when it is returned.
    napi_deferred deferred = nullptr;
    napi_value promise = nullptr;
    if (napi_create_promise(env, &deferred, &promise) != napi_ok) return {};
    auto work = std::unique_ptr<PromiseWork>(
        new PromiseWork(env, deferred, keep_alive, std::move(run), std::move(wrap)));
    work.release()->Queue();
    return {env, promise};
  }

 protected:
  void Execute() override { result_ = run_(); }

  void OnOK() override {
    if (result_->ok()) {
      napi_resolve_deferred(Env(), deferred_, wrap_(Env(), std::move(result_->value)));
    } else {
      napi_reject_deferred(Env(), deferred_, ToError(Env(), result_->status).Value());
    }
  }

  void OnError(const Napi::Error& error) override {
    napi_reject_deferred(Env(), deferred_, error.Value());
  }

 private:
  PromiseWork(Napi::Env env, napi_deferred deferred, const Napi::Object& keep_alive, Run run,
              Wrap wrap)
      : Napi::AsyncWorker(env),
        deferred_(deferred),
        keep_alive_(Napi::Persistent(keep_alive)),
        run_(std::move(run)),
        wrap_(std::move(wrap)) {}

  napi_deferred deferred_;
  Napi::ObjectReference keep_alive_;
  Run run_;
  Wrap wrap_;
  std::optional<Result<T>> result_;
};

}  // namespace safetensors
