package harness

import (
	"fmt"
	"syscall"
)

// mountSmall puts an empty filesystem of so many MiB at a folder, if this user may.
func mountSmall(dir string, mebibytes int, owner *syscall.Credential) bool {
	if owner == nil {
		return false
	}
	options := fmt.Sprintf("size=%dm,mode=0700,uid=%d,gid=%d", mebibytes, owner.Uid, owner.Gid)
	return syscall.Mount("none", dir, "tmpfs", 0, options) == nil
}

// unmount takes it away, whoever still has files of it open.
func unmount(dir string) { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }
