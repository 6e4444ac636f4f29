//! The Landlock rules of a confined program.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, LandlockStatus, NetPort, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, Scope, path_beneath_rules,
};

use super::Confinement;

/// The devices that a program may read and write.
const DEVICES: &[&str] = &[
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];

/// What a program may read besides its own files. `/proc` shows it nothing of a process outside its domain but the name and
/// the arguments.
const VIRTUAL: &[&str] = &["/proc"];

/// The ABI of Landlock in this kernel; 0 if there is none.
pub(super) fn abi_of_this_kernel() -> u8 {
    // The crate tells the ABI only to a thread that restricts itself. This thread has nothing else to do.
    let restrict = || {
        let rules = Ruleset::default().handle_access(AccessFs::Execute)?;
        rules.create()?.restrict_self()
    };
    match std::thread::spawn(restrict).join() {
        Ok(Ok(status)) => match status.landlock {
            LandlockStatus::Available { effective_abi, .. } => effective_abi as u8,
            _ => 0,
        },
        _ => 0,
    }
}

/// Restricts this thread, and all that it starts, to `confinement`. Nothing can take that back.
pub(super) fn restrict_this_thread(confinement: &Confinement) -> Result<(), RulesetError> {
    if confinement.landlock == 0 {
        return Ok(());
    }
    let abi = ABI::from(i32::from(confinement.landlock));
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?;
    if confinement.landlock >= 4 {
        rules = rules.handle_access(AccessNet::from_all(abi))?;
    }
    if confinement.landlock >= 6 {
        rules = rules.scope(Scope::from_all(abi))?;
    }
    let mut created = rules
        .create()?
        .add_rules(path_beneath_rules(
            &confinement.readable,
            AccessFs::from_read(abi),
        ))?
        .add_rules(path_beneath_rules(
            VIRTUAL,
            AccessFs::ReadFile | AccessFs::ReadDir,
        ))?
        .add_rules(path_beneath_rules(
            DEVICES,
            AccessFs::ReadFile | AccessFs::WriteFile,
        ))?
        .add_rules(path_beneath_rules(
            [&confinement.writable],
            AccessFs::from_all(abi),
        ))?;
    if let (4.., Some(port)) = (confinement.landlock, confinement.port) {
        created = created.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
    }
    created.restrict_self().map(drop)
}
