// A function of the core run on a thread of libuv's pool, its result as a promise.
#pragma once

#include <functional>
#include <optional>
#include <utility>

#include "binding.h"

namespace safetensors {

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
    auto work = std::unique_ptr<PromiseWork>(
        new PromiseWork(env, keep_alive, std::move(run), std::move(wrap)));
    const Napi::Promise promise = work->deferred_.Promise();
    work.release()->Queue();
    return promise;
  }

 protected:
  void Execute() override { result_ = run_(); }

  void OnOK() override {
    if (!result_->ok()) {
      deferred_.Reject(ToError(Env(), result_->status).Value());
      return;
    }
    deferred_.Resolve(wrap_(Env(), std::move(result_->value)));
  }

  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  PromiseWork(Napi::Env env, const Napi::Object& keep_alive, Run run, Wrap wrap)
      : Napi::AsyncWorker(env),
        deferred_(env),
        keep_alive_(Napi::Persistent(keep_alive)),
        run_(std::move(run)),
        wrap_(std::move(wrap)) {}

  Napi::Promise::Deferred deferred_;
  Napi::ObjectReference keep_alive_;
  Run run_;
  Wrap wrap_;
  std::optional<Result<T>> result_;
};

}  // namespace safetensors
