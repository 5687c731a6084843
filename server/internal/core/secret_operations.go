package core

// What the service keeps sealed besides account mails.
const (
	OpSealSecret = "seal_secret"
	OpOpenSecret = "open_secret"
	OpPassMail   = "pass_mail"
)

// SealSecretArgs is a secret of the service's own, to be stored under its name. Key and Secret are secret.
type SealSecretArgs struct {
	Key    string `json:"key"`
	Name   string `json:"name"`
	Secret Bytes  `json:"secret"`
}

// SealSecretResult is the secret as it is stored.
type SealSecretResult struct {
	Sealed Bytes  `json:"sealed"`
	KeyID  string `json:"key_id"`
}

// OpenSecretArgs is a stored secret. Key is secret.
type OpenSecretArgs struct {
	Key    string `json:"key"`
	Name   string `json:"name"`
	Sealed Bytes  `json:"sealed"`
}

// OpenSecretResult is secret.
type OpenSecretResult struct {
	Secret Bytes `json:"secret"`
}

// PassMailArgs is a mail that could not be read. Message and Key are secret.
type PassMailArgs struct {
	Message      Bytes    `json:"message"`
	EnvelopeFrom string   `json:"envelope_from"`
	EnvelopeTo   []string `json:"envelope_to"`
	Key          string   `json:"key"`
}

// PassMailResult is that mail, sealed as it came.
type PassMailResult struct {
	Mail       PassedMail        `json:"mail"`
	Recipients []SealedRecipient `json:"recipients"`
}

// PassedMail is what the rows of a passed mail share. ID is the first recipient's.
type PassedMail struct {
	ID        string `json:"id"`
	Size      int    `json:"size"`
	KeyID     string `json:"key_id"`
	ExpiresAt int64  `json:"expires_at"`
}
