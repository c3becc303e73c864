//! The promise of one version back and forth: nothing that the frozen contract has may change its number, type
//! or meaning; things may only be added.
//!
//! To freeze a released contract: `TWINLOCK_FREEZE=1 cargo test -p twinlock-proto --test compatibility`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::{fs, path::Path, sync::Once};

use prost_reflect::{DescriptorPool, MessageDescriptor};

const FROZEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/frozen/v1.bin");

static FREEZE: Once = Once::new();

fn pools() -> (DescriptorPool, DescriptorPool) {
    if std::env::var_os("TWINLOCK_FREEZE").is_some() {
        FREEZE.call_once(|| {
            fs::create_dir_all(Path::new(FROZEN).parent().unwrap()).unwrap();
            fs::write(FROZEN, twinlock_proto::DESCRIPTOR).unwrap();
        });
    }
    let frozen = DescriptorPool::decode(fs::read(FROZEN).unwrap().as_slice()).unwrap();
    let current = DescriptorPool::decode(twinlock_proto::DESCRIPTOR).unwrap();
    (frozen, current)
}

#[test]
fn every_frozen_field_keeps_its_number_type_and_place() {
    let (frozen, current) = pools();
    let mut fields = 0;
    for old in frozen.all_messages() {
        let new = current.get_message_by_name(old.full_name()).unwrap_or_else(|| {
            panic!("message {} is gone", old.full_name());
        });
        fields += compare(&old, &new);
    }
    assert!(fields > 50, "the frozen contract looks empty");
}

fn compare(old: &MessageDescriptor, new: &MessageDescriptor) -> usize {
    for field in old.fields() {
        let name = field.full_name().to_owned();
        let now = new.get_field(field.number()).unwrap_or_else(|| panic!("{name} is gone"));
        assert_eq!(now.name(), field.name(), "{name} has another name");
        assert_eq!(now.cardinality(), field.cardinality(), "{name} has another cardinality");
        assert_eq!(format!("{:?}", now.kind()), format!("{:?}", field.kind()), "{name} has another type");
        let group = |f: &prost_reflect::FieldDescriptor| f.containing_oneof().map(|o| o.name().to_owned());
        assert_eq!(group(&now), group(&field), "{name} moved between oneofs");
    }
    old.fields().count()
}

#[test]
fn every_frozen_value_and_method_is_still_there() {
    let (frozen, current) = pools();
    for old in frozen.all_enums() {
        let new = current.get_enum_by_name(old.full_name()).expect("an enum is gone");
        for value in old.values() {
            let now =
                new.get_value(value.number()).unwrap_or_else(|| panic!("{} is gone", value.full_name()));
            assert_eq!(now.name(), value.name());
        }
    }
    let mut methods = 0;
    for service in frozen.services() {
        let new =
            current.services().find(|s| s.full_name() == service.full_name()).expect("a service is gone");
        for old in service.methods() {
            let now = new.methods().find(|m| m.name() == old.name());
            let now = now.unwrap_or_else(|| panic!("{} is gone", old.full_name()));
            assert_eq!(now.input().full_name(), old.input().full_name());
            assert_eq!(now.output().full_name(), old.output().full_name());
            assert_eq!(now.is_client_streaming(), old.is_client_streaming());
            assert_eq!(now.is_server_streaming(), old.is_server_streaming());
            methods += 1;
        }
    }
    assert!(methods > 8, "the frozen contract looks empty");
}
