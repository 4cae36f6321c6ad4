package prepare

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
	shadowFile = "/etc/shadow"
)

// account is an entry of passwd(5).
type account struct {
	name     string
	uid, gid int
	home     string
}

// accounts are the users and groups of a container.
type accounts struct {
	users  []account
	groups []group
}

// group is an entry of group(5).
type group struct {
	name    string
	gid     int
	members []string
}

// accounts reads passwd and group. An image without these files has no users.
func (s system) accounts() (accounts, error) {
	var out accounts
	passwd, err := s.read(passwdFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return out, fmt.Errorf("reading the users of the image: %w", err)
	}
	groups, err := s.read(groupFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return out, fmt.Errorf("reading the groups of the image: %w", err)
	}
	out.users, out.groups = parsePasswd(passwd), parseGroups(groups)
	return out, nil
}

// parsePasswd reads passwd(5). Malformed lines are skipped.
func parsePasswd(text []byte) []account {
	var out []account
	for line := range bytes.Lines(text) {
		f := strings.Split(strings.TrimRight(string(line), "\r\n"), ":")
		if len(f) != 7 || f[0] == "" {
			continue
		}
		uid, errUID := strconv.ParseUint(f[2], 10, 31)
		gid, errGID := strconv.ParseUint(f[3], 10, 31)
		if errUID != nil || errGID != nil {
			continue
		}
		out = append(out, account{name: f[0], uid: int(uid), gid: int(gid), home: f[5]})
	}
	return out
}

// parseGroups reads group(5).
func parseGroups(text []byte) []group {
	var out []group
	for line := range bytes.Lines(text) {
		f := strings.Split(strings.TrimRight(string(line), "\r\n"), ":")
		if len(f) != 4 || f[0] == "" {
			continue
		}
		gid, err := strconv.ParseUint(f[2], 10, 31)
		if err != nil {
			continue
		}
		out = append(out, group{name: f[0], gid: int(gid), members: strings.Split(f[3], ",")})
	}
	return out
}

// user returns the user with a name.
func (a accounts) user(name string) (account, bool) {
	for _, u := range a.users {
		if u.name == name {
			return u, true
		}
	}
	return account{}, false
}

// uid returns the user with an ID.
func (a accounts) uid(uid int) (account, bool) {
	for _, u := range a.users {
		if u.uid == uid {
			return u, true
		}
	}
	return account{}, false
}

// group returns the group with a name.
func (a accounts) group(name string) (group, bool) {
	for _, g := range a.groups {
		if g.name == name {
			return g, true
		}
	}
	return group{}, false
}

// supplementary returns the groups of which a user is a member.
func (a accounts) supplementary(u account) []uint32 {
	var out []uint32
	for _, g := range a.groups {
		for _, member := range g.members {
			if member == u.name && g.gid != u.gid {
				out = append(out, uint32(g.gid))
			}
		}
	}
	return out
}

// freeUID returns the first unused user ID of at least want.
func (a accounts) freeUID(want int) int {
	for {
		if _, taken := a.uid(want); !taken {
			return want
		}
		want++
	}
}

// freeGID returns the first unused group ID of at least want.
func (a accounts) freeGID(want int) int {
	taken := map[int]bool{}
	for _, g := range a.groups {
		taken[g.gid] = true
	}
	for taken[want] {
		want++
	}
	return want
}
