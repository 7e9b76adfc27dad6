//! How far a request has come: by a message, and at its deadline.

/// What a message means for its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More is to come.
    More,
    /// That was all.
    Complete,
    /// It is larger than anybody can take.
    TooLarge,
    /// It cannot be read.
    Unreadable,
}

/// What has become of a request at its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// It is complete but for some commissions.
    Complete,
    /// It was not answered in time.
    Unanswered,
    /// Its late answer is not waited for any more.
    GivenUp,
}
