//! What `export!` puts between the gateway and a plugin: one instance per Wasm instance, made
//! by `configure` and asked by the roles.

use std::{cell::OnceCell, marker::PhantomData, thread::LocalKey};

use witgate_schema::{Schema, Shape};

use crate::{Plugin, config};

/// Where the configured plugin of a Wasm instance lies, for as long as there is the instance.
#[doc(hidden)]
pub type Slot<P> = LocalKey<OnceCell<&'static P>>;

/// A plugin that has a slot. Implemented by [`export!`](crate::export).
#[doc(hidden)]
pub trait Exported: Plugin {
    /// Its slot.
    fn slot() -> &'static Slot<Self>;
}

/// Implements the generated interfaces for a plugin.
#[doc(hidden)]
#[derive(Debug)]
pub struct Export<P>(PhantomData<P>);

/// The shape of a configuration that has one. An associated constant of the type's own goes before
/// one of a trait, so that [`Undescribed`] holds for all others.
#[doc(hidden)]
#[derive(Debug)]
pub struct Described<C>(PhantomData<C>);

impl<C: Schema> Described<C> {
    /// As derived.
    pub const SHAPE: Option<Shape> = Some(C::SHAPE);
}

/// A configuration without a schema.
#[doc(hidden)]
pub trait Undescribed {
    /// None.
    const SHAPE: Option<Shape> = None;
}

impl<C> Undescribed for Described<C> {}

/// Makes the plugin from the sidecar's JSON text, and puts it into its slot.
#[cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "called by the gateway")
)]
fn configure<P: Exported>(json: &str) -> Result<(), String> {
    let plugin: P = config::configure(json).map_err(|error| error.to_string())?;
    P::slot()
        .with(|slot| slot.set(Box::leak(Box::new(plugin))))
        .map_err(|_| "an instance is configured once".to_owned())
}

/// Compiles only if each role is implemented; so a native build finds what a Wasm build would.
#[doc(hidden)]
pub mod check {
    #![allow(non_snake_case, missing_docs, reason = "named after the roles")]

    pub const fn Routing<P: crate::Routing>() {}
    pub const fn Affinity<P: crate::Affinity>() {}
    pub const fn Rewriting<P: crate::Rewriting>() {}
    pub const fn AsyncRouting<P: crate::AsyncRouting>() {}
    pub const fn AsyncRewriting<P: crate::AsyncRewriting>() {}
}

#[cfg(target_arch = "wasm32")]
mod guest {
    use super::{Export, Exported, configure};
    use crate::{
        Affinity, AsyncRewriting, AsyncRouting, Calls, Decision, Outcome, Pool, Preference,
        Request, RequestEdit, Response, ResponseEdit, Rewriting, Route, Routing,
        bindings::{
            affinity, async_rewriting::exports::witgate::plugin0_2_0 as async_rewriting,
            async_routing::exports::witgate::plugin0_2_0 as async_routing, base, rewriting,
            routing,
        },
        guest::{RawPool, RawRequest, RawResponse},
        log,
    };

    fn instance<P: Exported>() -> &'static P {
        let plugin = P::slot().with(|slot| slot.get().copied());
        plugin.expect("the gateway configures an instance first")
    }

    fn request() -> Request {
        Request::new(RawRequest)
    }

    fn pool(generation: u64) -> Pool {
        Pool {
            raw: RawPool { generation },
        }
    }

    const RESPONSE: Response = Response { raw: RawResponse };

    impl<P: Exported> base::exports::witgate::plugin::lifecycle::Guest for Export<P> {
        fn configure(config: String) -> Result<(), String> {
            log::report_panics();
            configure::<P>(&config)
        }
    }

    impl<P: Exported> base::exports::witgate::plugin::interest::Guest for Export<P> {
        fn unneeded() -> Calls {
            instance::<P>().unneeded()
        }
    }

    impl<P: Exported + Routing> routing::exports::witgate::plugin::routing::Guest for Export<P> {
        fn route() -> Route {
            instance::<P>().route(&request())
        }
    }

    impl<P: Exported + Affinity> affinity::exports::witgate::plugin::affinity::Guest for Export<P> {
        fn prefer(generation: u64) -> Preference {
            instance::<P>().prefer(&request(), &pool(generation))
        }

        fn stick(generation: u64, endpoint: String, outcome: Outcome) -> Vec<ResponseEdit> {
            instance::<P>().stick(&request(), &pool(generation), &endpoint, outcome)
        }
    }

    impl<P: Exported + Rewriting> rewriting::exports::witgate::plugin::rewriting::Guest for Export<P> {
        fn rewrite_request() -> Vec<RequestEdit> {
            instance::<P>().rewrite_request(&request())
        }

        fn rewrite_response() -> Vec<ResponseEdit> {
            instance::<P>().rewrite_response(&request(), &RESPONSE)
        }
    }

    impl<P: Exported + AsyncRouting> async_routing::routing::Guest for Export<P> {
        async fn route() -> Decision {
            instance::<P>().route(&request()).await
        }
    }

    impl<P: Exported + AsyncRewriting> async_rewriting::rewriting::Guest for Export<P> {
        async fn rewrite_request() -> Vec<RequestEdit> {
            instance::<P>().rewrite_request(&request()).await
        }

        async fn rewrite_response() -> Vec<ResponseEdit> {
            instance::<P>()
                .rewrite_response(&request(), &RESPONSE)
                .await
        }
    }
}

/// Makes a type the plugin of this crate, with the roles named behind it.
///
/// Once per crate, which is a `cdylib`. Only the named roles are exported. In a native build
/// it checks that the type implements them, and no more.
///
/// ```
/// use witgate_sdk::prelude::*;
///
/// struct Hello;
///
/// impl Plugin for Hello {
///     type Config = NoConfig;
///
///     fn configure(_: NoConfig) -> Result<Self, ConfigError> {
///         Ok(Self)
///     }
/// }
///
/// impl Rewriting for Hello {
///     fn rewrite_response(&self, _: &Request, _: &Response) -> Vec<ResponseEdit> {
///         vec![ResponseEdit::set("x-hello", "world")]
///     }
/// }
///
/// witgate_sdk::export!(Hello: Rewriting);
/// ```
#[macro_export]
macro_rules! export {
    ($plugin:ident: $($role:ident),+ $(,)?) => {
        const _: () = {
            impl $crate::__private::Exported for $plugin {
                fn slot() -> &'static $crate::__private::Slot<Self> {
                    ::std::thread_local! {
                        static SLOT: ::std::cell::OnceCell<&'static $plugin> = const { ::std::cell::OnceCell::new() };
                    }
                    &SLOT
                }
            }
            $($crate::__private::check::$role::<$plugin>();)+
        };
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type WitgateExport = $crate::__private::Export<$plugin>;
            $crate::__export_base_impl!(WitgateExport with_types_in $crate::bindings::base);
            $($crate::__export_role!($role WitgateExport);)+
        };
        const _: () = {
            #[allow(unused_imports, reason = "only for what has no schema")]
            use $crate::__private::Undescribed as _;
            use $crate::{Plugin, __private::Described, schema};

            const SHAPE: Option<schema::Shape> =
                Described::<<$plugin as Plugin>::Config>::SHAPE;
            const LENGTH: usize = match &SHAPE {
                Some(shape) => schema::json(shape, &mut []),
                None => 0,
            };
            // A section of the Wasm file, which the gateway reads without running anything.
            #[cfg_attr(target_arch = "wasm32", unsafe(link_section = "witgate:config-schema"))]
            #[allow(dead_code, reason = "read in the file")]
            pub static SCHEMA: [u8; LENGTH] = {
                let mut text = [0; LENGTH];
                if let Some(shape) = &SHAPE {
                    schema::json(shape, &mut text);
                }
                text
            };
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_role {
    (Routing $export:ident) => {
        const _: () = {
    $crate::__export_routing_impl!($export with_types_in $crate::bindings::routing);
        };
    };
    (Affinity $export:ident) => {
        const _: () = {
    $crate::__export_affinity_impl!($export with_types_in $crate::bindings::affinity);
        };
    };
    (Rewriting $export:ident) => {
        const _: () = {
    $crate::__export_rewriting_impl!($export with_types_in $crate::bindings::rewriting);
        };
    };
    (AsyncRouting $export:ident) => {
        const _: () = {
    $crate::__export_async_routing_impl!($export with_types_in $crate::bindings::async_routing);
        };
    };
    (AsyncRewriting $export:ident) => {
        const _: () = {
    $crate::__export_async_rewriting_impl!($export with_types_in $crate::bindings::async_rewriting);
        };
    };
}
