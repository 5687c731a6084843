package core

// OpDNSChecks judges what the DNS says of a sender.
const OpDNSChecks = "dns_checks"

// What became of a look-up, as DNSAnswer.Status says it.
const (
	DNSOK       = "ok"
	DNSNXDomain = "nxdomain" // the name does not exist
	DNSNoData   = "nodata"   // it does, without such a record
	DNSServFail = "servfail"
	DNSRefused  = "refused"
	DNSTimeout  = "timeout"
	DNSFailed   = "failed" // no server could be asked, or none said anything that can be read
)

// DNSChecksArgs is asked again, with more answers each time, until nothing is left to ask. Addresses are the server's.
type DNSChecksArgs struct {
	FromDomain     string      `json:"from_domain"`
	EnvelopeDomain string      `json:"envelope_domain"`
	Server         string      `json:"server"`
	Addresses      []string    `json:"addresses"`
	EHLOName       string      `json:"ehlo_name"`
	Answers        []DNSAnswer `json:"answers"`
}

// DNSQuestion is a look-up to be made: Type is A, AAAA, MX, TXT or PTR, Name is in ASCII without a dot at its end.
type DNSQuestion struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// DNSAnswer is what came of one. Records are as wasm/README.md writes them, and there are some only when it is "ok".
type DNSAnswer struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Status  string   `json:"status"`
	Records []string `json:"records"`
}

// DNSChecksResult has the steps that have ended, all five once Ask is empty.
type DNSChecksResult struct {
	Ask   []DNSQuestion `json:"ask"`
	Steps []Step        `json:"steps"`
}
