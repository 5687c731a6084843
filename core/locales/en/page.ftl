# Every sentence of the pages behind a link. Arguments: $site the site's name, $username, $address.

page-title = { $title } · { $site }
page-title-error = Error: { $title } · { $site }

password-title = Choose a new password
password-intro = For the account { $username } on { $site }.
password-intro-unnamed = For your account on { $site }.
password-new = New password
password-repeat = Repeat the new password
password-save = Save the new password
password-done-title = Your password has been changed
password-done = You can now log in with your new password.

address-title = Confirm your email address
address-intro = Confirm that { $address } is your address on { $site }.
address-confirm = Confirm this address
address-done-title = Your email address is confirmed
address-done = { $site } now knows that this address is yours. You can log in.

log-in = Log in to { $site }
new-link = Ask for a new link
to-site = Go to { $site }

notice-differ = The two passwords differ. Please type the same password twice.
notice-missing = Please type a new password.
notice-refused = This password was not accepted:
notice-again = That did not work just now. Nothing has been changed and your link is still good. Please try again in a minute.

unknown-title = This link does not work
unknown-reset = It may have been used already, or a newer email may have replaced it. Open the link in the newest email, or ask for a new one.
unknown-verify = It may have been used already, or a newer email may have replaced it. Open the link in the newest email, or log in to get a new one.
expired-title = This link has expired
expired-reset = Nothing has been changed. Ask for a new link, and use it while it is fresh.
expired-verify = The address is not confirmed yet. Log in to get a new link, and use it while it is fresh.
dead-title = This link no longer works
dead-reset = The account has changed since the link was sent: its password or its email address is another one now, or it was deactivated. If you still need to, ask for a new link.
dead-verify = The account has changed since the link was sent: the address may be confirmed already, it may be another one now, or the account was deactivated. Log in to see.

outcome-title = We could not find out whether it worked
outcome-reset = The server did not answer in time. Try to log in with your new password. If that does not work, ask for a new link.
outcome-verify = The server did not answer in time. Log in: if your address still has to be confirmed, you are offered a new link.

too-many-title = Too many attempts
too-many = Please wait a minute, then open the link again.
unavailable-title = This page is not available just now
unavailable = The server is busy or being restarted. Please try again in a minute.
not-found-title = Page not found
not-found = There is nothing at this address. If you copied a link, check that you copied all of it.

console-script = This page needs JavaScript. Allow it for this site, then load the page again.
console-admins-title = For system admins
console-admins = Only a system admin of this server may open this page.
console-log-in-title = Please log in
console-log-in = This page is for system admins. Log in, then open it again.
console-again = Open this page again
