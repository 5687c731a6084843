package core

// OpDiagnose turns the facts of a conversation into steps.
const OpDiagnose = "diagnose"

// ShownConnection is a Connection less what is secret.
type ShownConnection struct {
	Name              string   `json:"name"`
	Server            string   `json:"server"`
	Port              int      `json:"port"`
	Security          string   `json:"security"`
	VerifyCertificate bool     `json:"verify_certificate"`
	Pinned            bool     `json:"pinned"`
	MinTLS            string   `json:"min_tls"`
	Auth              []string `json:"auth"`
	Username          string   `json:"username"`
	PasswordSet       bool     `json:"password_set"`
	OAuthSet          bool     `json:"oauth_set"`
}

// Shown is the connection as it may be shown.
func (c Connection) Shown() ShownConnection {
	return ShownConnection{
		Name: c.Name, Server: c.Server, Port: c.Port, Security: c.Security, VerifyCertificate: c.VerifyCertificate,
		Pinned: c.Pin != "", MinTLS: c.MinTLS, Auth: c.Auth, Username: c.Username, PasswordSet: c.Password != "", OAuthSet: c.OAuth != nil,
	}
}

// DiagnoseArgs are what was tried and what was seen; Diagnosis is the answer.
type DiagnoseArgs struct {
	Connection   ShownConnection `json:"connection"`
	Facts        Facts           `json:"facts"`
	EnvelopeFrom string          `json:"envelope_from"`
	To           string          `json:"to"`
}

// Facts are what the courier saw of one conversation, in the order in which it happened. No secret is among them.
type Facts struct {
	Events    []Event  `json:"events"`
	Addresses []string `json:"addresses"` // of the server's name
	// TLS is what the server showed in the handshake, also in one that failed; nil before one.
	TLS *TLSFacts `json:"tls"`
	// Extensions are the keywords of the newest EHLO reply with their parameters, as "SIZE 1000"; Mechanism is the one
	// that was used, in SASL's spelling.
	Extensions []string `json:"extensions"`
	Mechanism  string   `json:"mechanism"`
	// Finished is false while the conversation goes on, Cancelled where whoever asked for it broke it off.
	Finished  bool `json:"finished"`
	Cancelled bool `json:"cancelled"`
}

// Event is one step that ended. A step may come more than once: connect for each address, ehlo again after STARTTLS.
type Event struct {
	Step    string  `json:"step"` // as in Outcome, and oauth: the access token
	MS      int64   `json:"ms"`
	Reply   *Reply  `json:"reply"`
	Failure *string `json:"failure"`
	Detail  string  `json:"detail"`
	Address string  `json:"address"` // host:port, of connect
}

// TLSFacts are what a handshake showed.
type TLSFacts struct {
	Version string `json:"version"` // 1.0 to 1.3; empty where none was agreed on
	// Verified: the chain leads to a trusted authority, and the name is right. Problem is why not: expired not_yet_valid
	// self_signed unknown_authority name pin constraints other; empty where there is none, or no chain was shown.
	Verified bool          `json:"verified"`
	Problem  string        `json:"problem"`
	Chain    []Certificate `json:"chain"` // the server's own first
	// Alert is the TLS alert's name where the peer sent one; NotTLS the first octets of what it said instead of TLS.
	Alert  string `json:"alert"`
	NotTLS string `json:"not_tls"`
}

// Certificate is what an admin may ask of one. Times are in milliseconds since the epoch.
type Certificate struct {
	Subject    string   `json:"subject"`
	Issuer     string   `json:"issuer"`
	Names      []string `json:"names"` // subjectAltName: DNS names and addresses
	NotBefore  int64    `json:"not_before"`
	NotAfter   int64    `json:"not_after"`
	SHA256     string   `json:"sha256"`      // of the certificate, hex
	SPKISHA256 string   `json:"spki_sha256"` // of its SubjectPublicKeyInfo, hex: what a pin names
}

// Step is a line of a diagnosis.
type Step struct {
	Step   string  `json:"step"`   // dns tcp tls greeting ehlo starttls auth mail_from rcpt_to data queued spf dkim dmarc mx ptr
	State  string  `json:"state"`  // ok warning failed skipped
	MS     *int64  `json:"ms"`     // nil where it took no time of its own
	Said   string  `json:"said"`   // the peer's words, or what was found
	Advice string  `json:"advice"` // what to change, in plain words; empty where nothing is to be
	Cause  *string `json:"cause"`  // the cause's name, as in contract/causes; nil where none is known
}

// Diagnosis is what a test found.
type Diagnosis struct {
	Steps   []Step  `json:"steps"`
	SentTo  string  `json:"sent_to"`  // "" where the mail did not leave
	QueueID *string `json:"queue_id"` // by which the server's log knows it, where it said so
}
