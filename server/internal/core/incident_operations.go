package core

// What the system admins are told of.
const (
	OpAlert = "alert"
	OpWatch = "watch"
)

// Kinds of incidents. The key is the connection's name; of account mail there is one.
const (
	IncidentConnectionPaused   = "connection_paused"
	IncidentFailedOver         = "failed_over"
	IncidentAccountMailWaits   = "account_mail_waits"
	IncidentCertificateExpires = "certificate_expires"
	IncidentOAuthRefused       = "oauth_refused"
)

// Facts of an incident that its words use, all of them optional: a server is host:port, a time in milliseconds since
// the epoch.
const (
	FactServer  = "server"
	FactReason  = "reason" // the peer's words, or what failed
	FactTo      = "to"     // the connection that mail goes over instead
	FactOldest  = "oldest"
	FactWaiting = "waiting"

	FactNotAfter = "not_after"
	FactSubject  = "subject"
	FactIssuer   = "issuer"
)

// AlertArgs is an incident: how often its opening was told, and how many of its kind and key were told and over within
// the last hour.
type AlertArgs struct {
	Kind     string            `json:"kind"`
	Key      string            `json:"key"`
	Facts    map[string]string `json:"facts"`
	OpenedAt int64             `json:"opened_at"`
	ClosedAt *int64            `json:"closed_at"`
	Told     int               `json:"told"`
	Recent   int               `json:"recent"`
}

// AlertResult is what to do about it. Text is Markdown; Phase is "open" or "over". WaitUntil is when to ask again if
// nothing happens before, Done whether it is over.
type AlertResult struct {
	Tell      bool   `json:"tell"`
	Phase     string `json:"phase"`
	Title     string `json:"title"`
	Text      string `json:"text"`
	WaitUntil *int64 `json:"wait_until"`
	Done      bool   `json:"done"`
}

// WatchArgs is what is seen from time to time. AccountMail is nil where it is not known.
type WatchArgs struct {
	AccountMail  *AccountMail      `json:"account_mail"`
	Certificates []SeenCertificate `json:"certificates"`
}

// AccountMail is what waits though it may leave: Oldest is since when, nil where none does; Reason is why that one does.
type AccountMail struct {
	Oldest  *int64 `json:"oldest"`
	Waiting int64  `json:"waiting"`
	Reason  string `json:"reason"`
}

// SeenCertificate is what a mail server showed of itself.
type SeenCertificate struct {
	Connection string `json:"connection"`
	Server     string `json:"server"` // host:port
	NotAfter   int64  `json:"not_after"`
	Subject    string `json:"subject"`
	Issuer     string `json:"issuer"`
}

// WatchResult are incidents to be opened, which may be open, and closed, which may not be there.
type WatchResult struct {
	Open []struct {
		Kind  string            `json:"kind"`
		Key   string            `json:"key"`
		Facts map[string]string `json:"facts"`
	} `json:"open"`
	Close []struct {
		Kind string `json:"kind"`
		Key  string `json:"key"`
	} `json:"close"`
}
