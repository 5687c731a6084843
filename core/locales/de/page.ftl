page-title = { $title } · { $site }
page-title-error = Fehler: { $title } · { $site }

password-title = Wähle ein neues Passwort
password-intro = Für das Konto { $username } auf { $site }.
password-intro-unnamed = Für dein Konto auf { $site }.
password-new = Neues Passwort
password-repeat = Neues Passwort wiederholen
password-save = Neues Passwort speichern
password-done-title = Dein Passwort wurde geändert
password-done = Du kannst dich jetzt mit deinem neuen Passwort anmelden.

address-title = Bestätige deine E-Mail-Adresse
address-intro = Bestätige, dass { $address } deine Adresse auf { $site } ist.
address-confirm = Adresse bestätigen
address-done-title = Deine E-Mail-Adresse ist bestätigt
address-done = { $site } weiß jetzt, dass diese Adresse dir gehört. Du kannst dich anmelden.

log-in = Bei { $site } anmelden
new-link = Neuen Link anfordern
to-site = Zu { $site }

notice-differ = Die beiden Passwörter stimmen nicht überein. Bitte gib zweimal dasselbe Passwort ein.
notice-missing = Bitte gib ein neues Passwort ein.
notice-refused = Dieses Passwort wurde nicht angenommen:
notice-again = Das hat gerade nicht geklappt. Es wurde nichts geändert, und dein Link ist weiterhin gültig. Bitte versuche es in einer Minute noch einmal.

unknown-title = Dieser Link funktioniert nicht
unknown-reset = Vielleicht wurde er schon benutzt, oder eine neuere E-Mail hat ihn ersetzt. Öffne den Link in der neuesten E-Mail oder fordere einen neuen an.
unknown-verify = Vielleicht wurde er schon benutzt, oder eine neuere E-Mail hat ihn ersetzt. Öffne den Link in der neuesten E-Mail oder melde dich an, um einen neuen zu bekommen.
expired-title = Dieser Link ist abgelaufen
expired-reset = Es wurde nichts geändert. Fordere einen neuen Link an und benutze ihn möglichst bald.
expired-verify = Die Adresse ist noch nicht bestätigt. Melde dich an, um einen neuen Link zu bekommen, und benutze ihn möglichst bald.
dead-title = Dieser Link gilt nicht mehr
dead-reset = Das Konto hat sich geändert, seit der Link verschickt wurde: Passwort oder E-Mail-Adresse sind nicht mehr dieselben, oder das Konto wurde deaktiviert. Fordere einen neuen Link an, falls du ihn noch brauchst.
dead-verify = Das Konto hat sich geändert, seit der Link verschickt wurde: Die Adresse ist vielleicht schon bestätigt oder nicht mehr dieselbe, oder das Konto wurde deaktiviert. Melde dich an, um nachzusehen.

outcome-title = Wir konnten nicht feststellen, ob es geklappt hat
outcome-reset = Der Server hat nicht rechtzeitig geantwortet. Versuche, dich mit deinem neuen Passwort anzumelden. Wenn das nicht geht, fordere einen neuen Link an.
outcome-verify = Der Server hat nicht rechtzeitig geantwortet. Melde dich an: Falls deine Adresse noch bestätigt werden muss, wird dir ein neuer Link angeboten.

too-many-title = Zu viele Versuche
too-many = Bitte warte eine Minute und öffne den Link dann noch einmal.
unavailable-title = Diese Seite ist gerade nicht verfügbar
unavailable = Der Server ist ausgelastet oder wird neu gestartet. Bitte versuche es in einer Minute noch einmal.
not-found-title = Seite nicht gefunden
not-found = Unter dieser Adresse gibt es nichts. Falls du einen Link kopiert hast, prüfe, ob du ihn ganz kopiert hast.

console-script = Diese Seite braucht JavaScript. Erlaube es für diese Website und lade die Seite dann neu.
console-admins-title = Nur für Systemadministratoren
console-admins = Diese Seite dürfen nur Systemadministratoren dieses Servers öffnen.
console-log-in-title = Bitte melde dich an
console-log-in = Diese Seite ist für Systemadministratoren. Melde dich an und öffne sie dann noch einmal.
console-again = Diese Seite noch einmal öffnen
