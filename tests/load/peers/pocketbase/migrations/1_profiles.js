// Accounts may be read by those who are signed in, and each has a profile. No request is logged.

migrate((app) => {
  const signedIn = '@request.auth.id != ""'
  const users = app.findCollectionByNameOrId('users')
  users.viewRule = signedIn
  users.authToken.secret = $os.getenv('SIGNING_KEY')
  app.save(users)
  app.save(new Collection({
    type: 'base',
    name: 'profiles',
    listRule: signedIn,
    viewRule: signedIn,
    updateRule: 'user = @request.auth.id',
    fields: [
      { type: 'relation', name: 'user', required: true, collectionId: users.id, maxSelect: 1 },
      { type: 'text', name: 'description' },
      { type: 'text', name: 'location', max: 30 },
      { type: 'bool', name: 'is_creator' },
      { type: 'autodate', name: 'date_joined', onCreate: true },
      { type: 'autodate', name: 'updated_on', onCreate: true, onUpdate: true }
    ]
  }))
  const settings = app.settings()
  settings.logs.maxDays = 0
  app.save(settings)
})
