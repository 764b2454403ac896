//! The `message!` macro: tables become structs with decode, encode and size.
//!
//! ```text
//! message! {
//!     /// One line of meaning.
//!     request ProduceRequest -> ProduceResponse (key Produce, versions 3-13, flexible 9+) {
//!         transactional_id:   Option<KafkaString> = None,  3+;
//!         acks:               i16,                         0+;
//!         topic_data:         Vec<TopicProduceData>,       0+;
//!     }
//!     struct TopicProduceData {
//!         name:               KafkaString,                 0-12, ignorable;
//!         topic_id:           Uuid,                        13+, ignorable;
//! ```
//!
//! A row is `name: type = default, versions null versions tag number, ignorable;`. Versions are written as
//! Kafka does: `3+`, `0-12`. An `Option` may be null in all its versions unless `null 1+` says in which. A
//! field without a default starts as zero or empty, and an `Option` as *empty, not null*, as in Kafka; a field
//! that a version doesn't have is read as its default and left out when writing. `ignorable` is Kafka's word:
//! dropping the field silently for an older version is harmless.
//!
//! A message is a `request`, a `response`, a `record` (its key is the record type), or `data` (no key).
//! Everything generated is `#[inline]`, so a message costs compile time only where it is used.

/// Turns tables into structs; see the module's documentation for the form of a row.
macro_rules! message {
    ($(
        $(#[$meta:meta])*
        $kind:ident $name:ident $(-> $response:ident)? $(($($header:tt)*))? {
            $($field:ident: $type:ty $(= $default:expr)?,
                $first:literal $(- $last:literal)? $(+)?
                $(null $null_first:literal $(- $null_last:literal)? $(+)?)?
                $(tag $tag:literal)?
                $(, $ignorable:ident)?;)*
        }
    )*) => {$(
        $(#[$meta])*
        #[allow(missing_docs, reason = "the names are Kafka's; its protocol guide tells what they mean")]
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $(pub $field: $type,)*
        }

        impl Default for $name {
            #[inline]
            fn default() -> Self {
                Self { $($field: message!(@default $type $(, $default)?),)* }
            }
        }

        impl $crate::protocol::codec::Wire for $name {
            const TYPE: $crate::protocol::table::Type =
                $crate::protocol::table::Type::Struct(&$crate::protocol::table::Table {
                    name: stringify!($name),
                    fields: &[$($crate::protocol::table::Field {
                        name: stringify!($field),
                        kind: <$type as $crate::protocol::codec::Wire>::TYPE,
                        versions: ($first, message!(@last $($last)?)),
                        null_versions: message!(@null $($null_first $(, $null_last)?)?),
                        tag: message!(@option $($tag)?),
                        default: message!(@text $($default)?),
                        ignorable: message!(@ignorable $($ignorable)?),
                    },)*],
                });

            #[inline]
            fn initial() -> Self {
                Self::default()
            }

            #[inline]
            #[allow(unused_variables, reason = "structs without fields")]
            fn each_error<F: FnMut(i16)>(&self, visit: &mut F) {
                $(if const { $crate::protocol::codec::is_error_code(stringify!($field)) } {
                    $crate::protocol::codec::visit_error(&self.$field, visit);
                } else {
                    $crate::protocol::codec::Wire::each_error(&self.$field, visit);
                })*
            }

            #[inline]
            #[allow(unused_variables, unused_mut, reason = "structs without fields, or without tagged ones")]
            fn read(
                reader: &mut $crate::wire::Reader,
                at: $crate::protocol::codec::At,
            ) -> $crate::wire::Result<Self> {
                let at = at.inside();
                $(let mut $field: $type = if message!(@inline $($tag)?)
                    && at.within($first, message!(@last $($last)?))
                {
                    $crate::protocol::codec::Wire::read(
                        reader,
                        at $(.null_within($null_first, message!(@last $($null_last)?)))?,
                    )?
                } else {
                    message!(@default $type $(, $default)?)
                };)*
                let mut tags = $crate::protocol::codec::Tags::open(reader, at)?;
                while let Some((tag, len)) = tags.next(reader)? {
                    $(message!(@read_tagged [$($tag)?] reader, at, tag, $field,
                        $first, message!(@last $($last)?));)*
                    reader.skip(len)?;
                }
                Ok(Self { $($field,)* })
            }

            #[inline]
            #[allow(unused_variables, unused_mut, reason = "structs without fields, or without tagged ones")]
            fn write<S: $crate::wire::Sink>(&self, sink: &mut S, at: $crate::protocol::codec::At) {
                let at = at.inside();
                $(if message!(@inline $($tag)?) && at.within($first, message!(@last $($last)?)) {
                    $crate::protocol::codec::Wire::write(
                        &self.$field,
                        sink,
                        at $(.null_within($null_first, message!(@last $($null_last)?)))?,
                    );
                })*
                if at.flexible {
                    let mut tagged = 0;
                    $(message!(@count_tagged [$($tag)?] tagged, at, self.$field,
                        $first, message!(@last $($last)?), message!(@default $type $(, $default)?));)*
                    sink.put_uvarint(tagged);
                    $(message!(@write_tagged [$($tag)?] sink, at, self.$field,
                        $first, message!(@last $($last)?), message!(@default $type $(, $default)?));)*
                }
            }
        }

        message!(@$kind $name $($response)? $($($header)*)?);
    )*};

    (@default $type:ty) => { <$type as $crate::protocol::codec::Wire>::initial() };
    (@default $type:ty, $default:expr) => { $default };
    (@last) => { i16::MAX };
    (@last $last:literal) => { $last };
    (@null) => { (0, i16::MAX) };
    (@null $first:literal) => { ($first, i16::MAX) };
    (@null $first:literal, $last:literal) => { ($first, $last) };
    (@option) => { None };
    (@option $value:expr) => { Some($value) };
    (@text) => { None };
    (@text $value:expr) => { Some(stringify!($value)) };
    (@ignorable) => { false };
    (@ignorable ignorable) => { true };
    (@inline) => { true };
    (@inline $tag:literal) => { false };

    (@read_tagged [] $($rest:tt)*) => {};
    (@read_tagged [$number:literal] $reader:ident, $at:ident, $tag:ident, $field:ident, $first:expr, $last:expr) => {
        if $tag == $number && $at.within($first, $last) {
            $field = $crate::protocol::codec::Wire::read($reader, $at.in_tag())?;
            continue;
        }
    };
    (@count_tagged [] $($rest:tt)*) => {};
    (@count_tagged [$number:literal] $count:ident, $at:ident, $value:expr, $first:expr, $last:expr, $default:expr) => {
        $count += u32::from($at.within($first, $last) && $value != $default);
    };
    (@write_tagged [] $($rest:tt)*) => {};
    (@write_tagged [$number:literal] $sink:ident, $at:ident, $value:expr, $first:expr, $last:expr, $default:expr) => {
        if $at.within($first, $last) && $value != $default {
            $crate::protocol::codec::write_tagged($number, &$value, $sink, $at);
        }
    };

    (@struct $name:ident) => {};
    (@request $name:ident $response:ident key $key:ident, $($versions:tt)*) => {
        message!(@versions $name, Some($crate::protocol::ApiKey::$key as i16), $($versions)*);

        impl $crate::protocol::Request for $name {
            const API_KEY: $crate::protocol::ApiKey = $crate::protocol::ApiKey::$key;
            type Response = $response;
        }
    };
    (@response $name:ident key $key:ident, $($versions:tt)*) => {
        message!(@versions $name, Some($crate::protocol::ApiKey::$key as i16), $($versions)*);
    };
    (@record $name:ident key $key:literal, $($versions:tt)*) => {
        message!(@versions $name, Some($key), $($versions)*);

        impl $crate::protocol::Record for $name {
            const RECORD_TYPE: i16 = $key;
        }
    };
    (@data $name:ident $($versions:tt)*) => {
        message!(@versions $name, None, $($versions)*);
    };
    (@versions $name:ident, $key:expr, versions $min:literal $(- $max:literal)?, flexible $flexible:tt $(+)?) => {
        impl $crate::protocol::Message for $name {
            const NAME: &'static str = stringify!($name);
            const MIN_VERSION: i16 = $min;
            const MAX_VERSION: i16 = message!(@max $min $(, $max)?);
            const FLEXIBLE_FROM: i16 = message!(@flexible $flexible);
            const KEY: Option<i16> = $key;
        }
    };
    (@max $min:literal) => { $min };
    (@max $min:literal, $max:literal) => { $max };
    (@flexible never) => { i16::MAX };
    (@flexible $flexible:literal) => { $flexible };
}

pub(crate) use message;
