// Package link is what the shim and the service share: the runtime folder, the socket in it, who is at the
// other end, whether the server lives, and the words they exchange. It imports the standard library only, so
// that the shim, which imports it, stays thin. It knows nothing of mail.
package link
