package prepare

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"minicluster.internal/operator/pkg/agentapi/plan"
)

func TestIdentify(t *testing.T) {
	needRoot(t)
	const passwd = "root:x:0:0:root:/root:/bin/sh\n"
	type want struct {
		uid, gid uint32
		home     string
		passwd   string
	}
	for name, test := range map[string]struct {
		user   plan.User
		passwd string
		group  string
		want   want
	}{
		"made":                 {plan.User{Name: "flux", UID: 1000}, passwd, "", want{1000, 1000, "/home/flux", "flux:x:1000:1000::/home/flux:/bin/sh\n"}},
		"the number is in use": {plan.User{Name: "flux", UID: 1000}, passwd + "ubuntu:x:1000:1000::/home/ubuntu:/bin/sh\n", "", want{1001, 1001, "/home/flux", "flux:x:1001:1001::/home/flux:/bin/sh\n"}},
		"the group is in use":  {plan.User{Name: "flux", UID: 1000}, passwd, "users:x:1000:\n", want{1000, 1001, "/home/flux", "flux:x:1000:1001::/home/flux:/bin/sh\n"}},
		"the group exists":     {plan.User{Name: "flux", UID: 1000}, passwd, "flux:x:77:\n", want{1000, 77, "/home/flux", "flux:x:1000:77::/home/flux:/bin/sh\n"}},
		"in the image":         {plan.User{Name: "flux", UID: 1000}, passwd + "flux:x:50:60::/opt:/bin/sh\n", "", want{50, 60, "/opt", ""}},
		"without a home":       {plan.User{Name: "flux", UID: 1000}, passwd + "flux:x:50:60::/nonexistent:/bin/sh\n", "", want{50, 60, "/home/flux", ""}},
		"root":                 {plan.User{}, passwd, "", want{0, 0, "/root", ""}},
		"another named root":   {plan.User{Name: "flux"}, passwd + "flux:x:0:0::/root:/bin/sh\n", "", want{0, 0, "/root", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			root := image(t, map[string]string{"/etc/passwd": test.passwd, "/etc/group": test.group, "/root/": "", "/opt/": ""})
			i := newInstance(systemPlan(func(p *plan.Plan) { p.User = test.user }), options(root))
			require.NoError(t, i.identify(t.Context(), newSystem(root), []string{"HOME=/root"}))
			after, err := os.ReadFile(filepath.Join(root, passwdFile))
			require.NoError(t, err)
			assert.Equal(t, test.want, want{i.UID, i.GID, i.Home, strings.TrimPrefix(string(after), test.passwd)})
			assert.Equal(t, i.UID != 0, i.Credential != nil)
		})
	}
}

func TestIdentifyRefusesNames(t *testing.T) {
	needRoot(t)
	for _, name := range []string{"a:0:0", "a\nroot2:x:0:0", "-a", "ä", "a b", strings.Repeat("a", 33)} {
		root := image(t, nil)
		i := newInstance(systemPlan(func(p *plan.Plan) { p.User.Name = name }), options(root))
		require.ErrorContains(t, i.identify(t.Context(), newSystem(root), nil), "is not a valid user name")
		p := systemPlan(func(p *plan.Plan) { p.Users = []plan.Account{{Name: name}} })
		require.ErrorContains(t, newInstance(p, options(root)).addUsers(t.Context(), newSystem(root)), "is not a valid user name")
	}
}

// An agent that is not root, or may not switch to another user, keeps its user.
func TestStay(t *testing.T) {
	for name, test := range map[string]struct {
		uid    int
		passwd string
		home   string
		user   string
		want   string
	}{
		"known":                      {1000, "me:x:1000:1000::/home/me:/bin/sh\n", "", "me", "/home/me"},
		"the environment's home":     {1000, "me:x:1000:1000::/home/me:/bin/sh\n", "/tmp", "me", "/tmp"},
		"unknown: gets a name":       {1234, "root:x:0:0::/:/bin/sh", "/", fallbackUser, "/home/flux-operator"},
		"a home that does not exist": {1000, "me:x:1000:1000::/gone:/bin/sh\n", "/", "me", "/home/flux-operator"},
		"an image without any users": {1234, "", "/", fallbackUser, "/home/flux-operator"},
	} {
		t.Run(name, func(t *testing.T) {
			root := image(t, map[string]string{"/etc/passwd": test.passwd, "/home/me/": "", "/home/flux-operator/": ""})
			i := newInstance(systemPlan(), options(root))
			require.NoError(t, i.identify(t.Context(), system{root: root, uid: test.uid, gid: 5}, []string{"HOME=" + test.home}))
			assert.Equal(t, test.user, i.User)
			assert.Equal(t, test.want, i.Home)
			assert.Nil(t, i.Credential)
			after, err := newSystem(root).accounts()
			require.NoError(t, err)
			known, ok := after.uid(test.uid)
			assert.True(t, ok)
			assert.Equal(t, test.user, known.name)
		})
	}
}

func TestStayWithoutPasswd(t *testing.T) {
	root := image(t, nil)
	require.NoError(t, os.Remove(filepath.Join(root, passwdFile)))
	i := newInstance(systemPlan(), options(root))
	require.NoError(t, i.identify(t.Context(), system{root: root, uid: 1234, gid: 5}, nil))
	assert.Empty(t, i.User)
	assert.Equal(t, "/run/flux/home", i.Home)
	assert.Equal(t, map[string]string{"HOME": "/h", "USER": "flux-operator", "LOGNAME": "flux-operator"}, environmentOf(i.User, "/h"))
}

func TestAddUsers(t *testing.T) {
	needRoot(t)
	root := image(t, map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nbob:x:5:5::/home/bob:/bin/sh\n",
		"/etc/shadow": "root:*:1::::::\nbob:old:1::::::\nbobby:b:1::::::\n",
		plan.CertificateDir + "/" + plan.FilePasswords: `{"ada": "pass word", "bob": "new", "root": "no"}`,
	})
	p := systemPlan(func(p *plan.Plan) {
		p.Users = []plan.Account{{Name: "ada"}, {Name: "bob"}, {Name: "carl"}, {Name: "root"}}
	})
	sys := newSystem(root)
	require.NoError(t, newInstance(p, options(root)).addUsers(t.Context(), sys))
	require.NoError(t, newInstance(p, options(root)).addUsers(t.Context(), sys), "again")
	shadow, err := sys.read(shadowFile)
	require.NoError(t, err)
	hashes := map[string]string{}
	for line := range strings.Lines(string(shadow)) {
		f := strings.Split(line, ":")
		require.NotContains(t, hashes, f[0], "one line per user")
		hashes[f[0]] = f[1]
	}
	check := func(name, password string) {
		salt := strings.Split(hashes[name], "$")[2]
		assert.Len(t, salt, 16)
		assert.Equal(t, cryptSHA512(password, salt), hashes[name])
	}
	check("ada", "pass word")
	check("bob", "new")
	assert.Equal(t, "*", hashes["carl"], "no password")
	assert.Equal(t, "*", hashes["root"], "left alone")
	assert.Equal(t, "b", hashes["bobby"], "another user")
	known, err := sys.accounts()
	require.NoError(t, err)
	ada, _ := known.user("ada")
	carl, _ := known.user("carl")
	assert.Equal(t, []int{1001, 1002}, []int{ada.uid, carl.uid})
	assert.DirExists(t, filepath.Join(root, "home/carl"))
}

// TestAddUsersOfSite checks that users get the IDs of their site, the same ones in every pod.
func TestAddUsersOfSite(t *testing.T) {
	needRoot(t)
	root := image(t, map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nbob:x:5:2000::/home/bob:/bin/sh\n",
		"/etc/group":  "root:x:0:\nvideo:x:44:old\nalice:x:900:\n",
	})
	p := systemPlan(func(p *plan.Plan) {
		p.Users = []plan.Account{
			{Name: "anyone"},
			{Name: "alice", UID: 20417, GID: 2000, Groups: []plan.Group{{Name: "climate", GID: 3100}, {Name: "video"}}},
			{Name: "bob", UID: 5, GID: 2000, Groups: []plan.Group{{Name: "climate", GID: 3100}}},
			{Name: "carl", UID: 1001, GID: 3100},
			{Name: "Dora.Site", UID: 2147483647},
		}
	})
	sys := newSystem(root)
	require.NoError(t, newInstance(p, options(root)).addUsers(t.Context(), sys))
	require.NoError(t, newInstance(p, options(root)).addUsers(t.Context(), sys), "again")
	known, err := sys.accounts()
	require.NoError(t, err)
	ids := map[string][2]int{}
	for _, user := range known.users {
		require.NotContains(t, ids, user.name, "one line per user")
		ids[user.name] = [2]int{user.uid, user.gid}
	}
	assert.Equal(t, map[string][2]int{
		"root": {0, 0}, "bob": {5, 2000}, "alice": {20417, 2000}, "carl": {1001, 3100}, "Dora.Site": {2147483647, 2147483647}, "anyone": {1002, 1002},
	}, ids)
	text, err := sys.read(groupFile)
	require.NoError(t, err)
	assert.Equal(t, "root:x:0:\nvideo:x:44:old,alice\nalice:x:900:\nclimate:x:3100:alice,bob\ngroup2000:x:2000:\n"+
		"Dora.Site:x:2147483647:\nanyone:x:1002:\n", string(text))
	alice, _ := known.user("alice")
	assert.Equal(t, []uint32{44, 3100}, known.supplementary(alice))
}

// TestAddUsersConflicts checks that an ID that conflicts with the image is reported as an error.
func TestAddUsersConflicts(t *testing.T) {
	needRoot(t)
	for name, tc := range map[string]struct {
		user plan.Account
		want string
	}{
		"another user has the ID": {plan.Account{Name: "alice", UID: 1000}, "the user ID 1000 belongs to ubuntu in the image"},
		"another ID":              {plan.Account{Name: "ubuntu", UID: 20417}, "the image has the user with the ID 1000, not 20417"},
		"another primary group":   {plan.Account{Name: "ubuntu", GID: 7}, "the image has the user with the primary group 1000, not 7"},
		"another ID of a group":   {plan.Account{Name: "alice", Groups: []plan.Group{{Name: "video", GID: 45}}}, "the image has it with the ID 44, not 45"},
		"an unknown group":        {plan.Account{Name: "alice", Groups: []plan.Group{{Name: "gpu"}}}, "the MiniCluster does not set its gid"},
		"no name for a group":     {plan.Account{Name: "alice", Groups: []plan.Group{{Name: "a:b", GID: 5}}}, "is not a valid name of a group"},
	} {
		t.Run(name, func(t *testing.T) {
			root := image(t, map[string]string{
				"/etc/passwd": "ubuntu:x:1000:1000::/home/ubuntu:/bin/bash\n", "/etc/group": "video:x:44:\nubuntu:x:1000:\n",
			})
			p := systemPlan(func(p *plan.Plan) { p.Users = []plan.Account{tc.user} })
			err := newInstance(p, options(root)).addUsers(t.Context(), newSystem(root))
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestAddUsersNeedsRoot(t *testing.T) {
	root := image(t, nil)
	p := systemPlan(func(p *plan.Plan) { p.Users = []plan.Account{{Name: "ada"}} })
	require.NoError(t, newInstance(p, options(root)).addUsers(t.Context(), system{root: root, uid: 1000}))
	text, err := os.ReadFile(filepath.Join(root, passwdFile))
	require.NoError(t, err)
	assert.NotContains(t, string(text), "ada")
}

func TestAccounts(t *testing.T) {
	known := accounts{
		users:  parsePasswd([]byte("root:x:0:0::/root:/bin/sh\r\nbroken\n:x:1:1:::\nneg:x:-1:1:::\nbig:x:4294967295:1:::\nflux:x:5:6::/h:/s")),
		groups: parseGroups([]byte("a:x:7:flux,b\nb:x:6:flux\nc:x:x:flux\nd:x:8:fluxus\n\n")),
	}
	assert.Equal(t, []account{{"root", 0, 0, "/root"}, {"flux", 5, 6, "/h"}}, known.users)
	flux, ok := known.user("flux")
	assert.True(t, ok)
	assert.Equal(t, []uint32{7}, known.supplementary(flux), "in addition to its own")
	assert.Equal(t, 6, known.freeUID(5))
	assert.Equal(t, 9, known.freeGID(6))
	_, ok = known.user("")
	assert.False(t, ok)
}

func FuzzAccounts(f *testing.F) {
	f.Add([]byte("root:x:0:0::/root:/bin/sh\n"), []byte("a:x:7:flux,b\n"))
	f.Fuzz(func(t *testing.T, passwd, group []byte) {
		known := accounts{users: parsePasswd(passwd), groups: parseGroups(group)}
		for _, u := range known.users {
			if u.name == "" || u.uid < 0 || u.gid < 0 {
				t.Fatalf("%+v", u)
			}
			known.supplementary(u)
		}
		if _, taken := known.uid(known.freeUID(1000)); taken {
			t.Fatal("not free")
		}
	})
}
