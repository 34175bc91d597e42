(module
  (import "[export]witgate:plugin/routing@0.2.0" "[task-return]route"
    (func $decided (param i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "[export]witgate:plugin/rewriting@0.2.0" "[task-return]rewrite-request"
    (func $request-edits (param i32 i32)))
  (import "[export]witgate:plugin/rewriting@0.2.0" "[task-return]rewrite-response"
    (func $response-edits (param i32 i32)))
  (memory (export "memory") 1)
  ;; All that it returns is here and zero, or returned as zeros: pass, no preference, no edits.
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func (export "witgate:plugin/lifecycle@0.1.0#configure") (param i32 i32) (result i32) (i32.const 16))
  (func (export "witgate:plugin/affinity@0.1.0#prefer") (param i64) (result i32) (i32.const 16))
  (func (export "witgate:plugin/affinity@0.1.0#stick") (param i64 i32 i32 i32) (result i32) (i32.const 16))
  ;; Each has returned before it comes back, with 0: it is done, and never called back.
  (func (export "[async-lift]witgate:plugin/routing@0.2.0#route") (result i32)
    (call $decided (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
    (i32.const 0))
  (func (export "[async-lift]witgate:plugin/rewriting@0.2.0#rewrite-request") (result i32)
    (call $request-edits (i32.const 0) (i32.const 0))
    (i32.const 0))
  (func (export "[async-lift]witgate:plugin/rewriting@0.2.0#rewrite-response") (result i32)
    (call $response-edits (i32.const 0) (i32.const 0))
    (i32.const 0))
  (func (export "[callback][async-lift]witgate:plugin/routing@0.2.0#route")
    (param i32 i32 i32) (result i32) unreachable)
  (func (export "[callback][async-lift]witgate:plugin/rewriting@0.2.0#rewrite-request")
    (param i32 i32 i32) (result i32) unreachable)
  (func (export "[callback][async-lift]witgate:plugin/rewriting@0.2.0#rewrite-response")
    (param i32 i32 i32) (result i32) unreachable))
