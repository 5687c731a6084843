package core

// How the outbox goes on with a mail.
const (
	OpAttend  = "attend"
	OpFault   = "fault"
	OpReasons = "reasons"
	OpByHand  = "by_hand"

	OpUpstream = "upstream"
)

// What AttendResult.Act says.
const (
	ActLeave       = "leave"
	ActEnd         = "end"
	ActLookAgain   = "look_again"
	ActComposeAnew = "compose_anew"
	ActBlocked     = "blocked"
)

// AttendArgs is how a mail stands (nil: there is no such mail) and what this node has: KeyID is nil where no key works,
// Connected says that the settings name a server or capture. NotComposed is prepare's reason, when composing it anew
// was tried and skipped.
type AttendArgs struct {
	Mail        *Standing `json:"mail"`
	KeyID       *string   `json:"key_id"`
	Connected   bool      `json:"connected"`
	NotComposed *string   `json:"not_composed"`
}

// Standing is a mail's row, as far as the core's rules ask for it. Link is nil for a mail without one of ours.
type Standing struct {
	Kind            string  `json:"kind"`
	State           string  `json:"state"`
	HeldBy          *string `json:"held_by"`
	HasBody         bool    `json:"has_body"`
	NextAttemptAt   *int64  `json:"next_attempt_at"`
	LeaseUntil      *int64  `json:"lease_until"`
	ExpiresAt       int64   `json:"expires_at"`
	KeyID           string  `json:"key_id"`
	KeyMissingSince *int64  `json:"key_missing_since"`
	ComposeAnew     bool    `json:"compose_anew"`
	Perhaps         bool    `json:"perhaps"`
	Link            *Link   `json:"link"`
}

// Link is a mail's token: ExpiresAt is nil where its row is gone.
type Link struct {
	ExpiresAt *int64 `json:"expires_at"`
}

// AttendResult is what to do. State and Reason go with "end", Reason alone with "compose_anew", At and KeyMissing with
// "look_again".
type AttendResult struct {
	Act        string `json:"act"`
	State      string `json:"state"`
	Reason     string `json:"reason"`
	At         int64  `json:"at"`
	KeyMissing bool   `json:"key_missing"`
}

// FaultArgs is an attempt that failed in our own code. Error is the core's own code, nil where it gave none; Outcome is
// what could not be judged, nil where it came to none.
type FaultArgs struct {
	Error     *string  `json:"error"`
	Faults    int      `json:"faults"`
	Perhaps   bool     `json:"perhaps"`
	Outcome   *Outcome `json:"outcome"`
	ExpiresAt int64    `json:"expires_at"`
}

// FaultResult is the mail's next state.
type FaultResult struct {
	State         string `json:"state"`
	NextAttemptAt *int64 `json:"next_attempt_at"`
	Reason        string `json:"reason"`
}

// ReasonsArgs are none.
type ReasonsArgs struct{}

// Reasons are the words for what the service writes without asking.
type Reasons struct {
	Superseded string `json:"superseded"`
	Captured   string `json:"captured"`
	OtherSite  string `json:"other_site"`
	Discarded  string `json:"discarded"`
	TestEnded  string `json:"test_ended"`

	Deactivated string `json:"deactivated"`
	HeldTooLong string `json:"held_too_long"`
}

// What an admin may wish of a mail, and what ByHandResult.Act says besides ActComposeAnew.
const (
	WishCancel = "cancel"
	WishResend = "resend"

	ActCancel = "cancel"
	ActSend   = "send"
	ActRefuse = "refuse"
)

// ByHandArgs is an admin's wish. Mail is nil where there is none; NotComposed is prepare's reason, when a new mail was
// tried and skipped.
type ByHandArgs struct {
	Wish        string    `json:"wish"`
	Mail        *Standing `json:"mail"`
	Class       string    `json:"class"`
	NotComposed *string   `json:"not_composed"`
}

// ByHandResult is what to do. Reason goes with "cancel", ExpiresAt with "send", AppError with "refuse".
type ByHandResult struct {
	Act       string    `json:"act"`
	Reason    string    `json:"reason"`
	ExpiresAt int64     `json:"expires_at"`
	AppError  *AppError `json:"app_error"`
}

// UpstreamArgs is what all nodes together may have of the upstream server; PerWindow is 0 for no limit.
type UpstreamArgs struct {
	Connections int   `json:"connections"`
	Nodes       int   `json:"nodes"`
	PerWindow   int   `json:"per_window"`
	WindowMS    int64 `json:"window_ms"`
}

// UpstreamResult is this node's share: Places is how many connections mail of a class and of those after it may use
// together, Rate is nil where there is no limit.
type UpstreamResult struct {
	Places struct {
		Account      int `json:"account"`
		Invitation   int `json:"invitation"`
		Notification int `json:"notification"`
	} `json:"places"`
	Rate *Rate `json:"rate"`
}

// Rate is how turns are given, in microseconds; see store.Turn.
type Rate struct {
	IntervalUS int64 `json:"interval_us"`
	AheadUS    struct {
		Account      int64 `json:"account"`
		Invitation   int64 `json:"invitation"`
		Notification int64 `json:"notification"`
	} `json:"ahead_us"`
	FullUS int64 `json:"full_us"`
}
