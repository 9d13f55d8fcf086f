//! Has the tracker do what an operator wants.

use super::command::Command;
use super::report::Report;
use crate::error::Failure;
use crate::tracker::TrackerHandle;
use crate::tracker::operator::Act;

/// Does it, by whoever `by` says.
///
/// # Errors
/// Why it was not done.
pub async fn perform(tracker: &TrackerHandle, by: &str, command: Command) -> Result<Report, Failure> {
    let act = |why| Act { by: by.to_owned(), why };
    let done = |done: String| Ok(Report::Done { done });
    match command {
        Command::Broadcast(text) => {
            let told = tracker.broadcast(by, text).await?;
            done(format!("said to {told} who are here"))
        }
        Command::Accounts(pattern) => tracker.accounts(pattern).await.map(Report::Accounts),
        Command::Suspend(name, why) => {
            tracker.suspend(&act(why), &name).await?;
            done(format!("{name} is suspended: its sessions are ended, and its passes do not count any more"))
        }
        Command::Unsuspend(name, why) => {
            tracker.unsuspend(&act(why), &name).await?;
            done(format!("{name} may enter again"))
        }
        Command::ResetPassword(name, why) => {
            let password = tracker.reset_password(&act(why), &name).await?;
            Ok(Report::Password { name, password })
        }
        Command::Channels(pattern) => tracker.channels(pattern).await.map(Report::Channels),
        Command::RemoveChannel(name, why) => {
            let id = tracker.remove_channel(&act(why), &name).await?;
            done(format!("{name} is removed; to let it be announced again: restore-channel {id}"))
        }
        Command::RestoreChannel(id, why) => {
            let name = tracker.restore_channel(&act(why), id).await?;
            done(format!("{name} may be announced again, if its name is still free"))
        }
        Command::Stats => tracker.stats().await.map(Report::Stats),
        Command::Audit(count) => tracker.audit(count).await.map(|actions| Report::Audit { actions }),
        Command::Help(about) => Ok(Report::help(about)),
    }
}
