(module
  (memory (export "memory") 1)
  ;; All that it returns is here and zero: pass, no preference, no edits, a configuration that is fine.
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func (export "witgate:plugin/lifecycle@0.1.0#configure") (param i32 i32) (result i32) (i32.const 16))
  (func (export "witgate:plugin/interest@0.1.0#unneeded") (result i32) (i32.const 0))
  (func (export "witgate:plugin/routing@0.1.0#route") (result i32) (i32.const 16))
  (func (export "witgate:plugin/affinity@0.1.0#prefer") (param i64) (result i32) (i32.const 16))
  (func (export "witgate:plugin/affinity@0.1.0#stick") (param i64 i32 i32 i32) (result i32) (i32.const 16))
  (func (export "witgate:plugin/rewriting@0.1.0#rewrite-request") (result i32) (i32.const 16))
  (func (export "witgate:plugin/rewriting@0.1.0#rewrite-response") (result i32) (i32.const 16)))
