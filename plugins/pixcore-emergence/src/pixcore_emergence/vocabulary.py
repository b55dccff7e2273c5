"""Hold the words that the concept rules know, in the singular, by what they mostly name.

What a word names with an owner, after a preposition or under another adjective is for `rules` and `senses` to decide.
"""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """Make a list of words out of a text."""
    return frozenset(text.split())


def _pairs(text: str) -> frozenset[tuple[str, str]]:
    pairs = (pair.split() for pair in text.split("|"))
    return frozenset((first, second) for first, second in pairs)


COLOURS = words(
    """
    red orange yellow green blue purple violet pink brown black white gray grey gold golden silver beige tan
    maroon navy turquoise teal magenta cyan crimson scarlet ivory khaki lavender lilac mauve indigo ochre
    burgundy azure fuchsia aqua ebony blond blonde auburn brunette reddish bluish greenish yellowish brownish
    grayish greyish whitish blackish pinkish orangish purplish multicolored multicoloured colorful colourful
    dark light pale bright
    """
)
APPEARANCE = words(
    """
    color colour coloration colouration coloring colouring hue tone tint tinge pigment pigmentation pattern
    texture stripe spot dot speckle fleck freckle patch mottling shape form appearance style design motif
    material print plaid tartan checker polka size length width height thickness depth brightness sheen shine
    gloss lustre luster sparkle glitter finish gradient contrast transparency opacity translucency outline
    silhouette contour marking mark streak band swirl blotch smudge stain scratch wrinkle camouflage iridescence
    shimmer glow aesthetic decor build symmetry asymmetry curvature proportion complexion hairstyle haircut
    zigzag crisscross herringbone paisley roundness softness smoothness roughness sharpness flatness fluffiness
    furriness shininess paleness whiteness blackness redness slimness plumpness lightness thinness largeness
    smallness age shading tonality palette ornamentation filigree embroidery lettering calligraphy crosshatching
    stippling look
    """
)
SHAPES = words(
    """
    triangle circle oval square rectangle diamond hexagon octagon pentagon ellipse sphere cube cylinder pyramid
    crescent spiral heart star arc curve trapezoid rhombus line crosshatch chevron
    """
)
SIZES = words(
    """
    big bigger biggest large larger largest small smaller smallest tall taller tallest short shorter shortest
    long longer longest tiny huge thin thick thinner thicker wide narrow round square plain spotted striped
    patterned fluffy furry shiny smooth fuzzy transparent darker darkest lighter lightest brighter brightest
    paler wooden metal metallic plastic checkered dotted colored coloured old older new newer similar fat slim
    bald bearded
    """
)
MATERIALS = words(
    """
    wood metal plastic glass brick stone leather fabric cotton wool steel iron concrete marble paper cardboard
    ceramic porcelain clay rubber silk velvet denim straw wicker bamboo granite aluminum aluminium brass suede
    linen lace nylon felt canvas timber oak pine chrome cement tin bronze copper ebony mahogany
    """
)
PLACES_IN = words(
    """
    left right top bottom center centre middle side front back rear inside outside upper lower above below
    beneath north south east west midpoint underside end corner edge
    """
)
"""Words for where, which are a piece of a thing where they have an owner that is looked at."""
LOCATION = words(
    """
    location direction distance place area region half third quarter angle perspective viewpoint vantage
    orientation northeast northwest southeast southwest proximity vicinity spacing alignment gap space placement
    destination whereabouts elevation altitude level quadrant section righthand lefthand point leftmost
    rightmost topmost uppermost lowermost far near nearest closest farthest furthest central opposite adjacent
    arrangement layout
    """
)
PART = words(
    """
    head face eye eyeball eyelid eyebrow eyelash pupil iris ear earlobe nose nostril mouth lip tooth fang tongue
    gum cheek chin jaw beard moustache mustache whisker forehead brow beak snout muzzle trunk neck nape throat
    hair mane fur forelock fringe bangs ponytail braid curl plumage crest wattle wing wingtip tail tailfeather
    rump fin flipper fluke gill leg thigh knee shin ankle heel foot toe toenail paw claw talon hoof pincer
    tentacle sucker arm elbow forearm wrist hand palm finger fingertip thumb fingernail knuckle fist shoulder
    chest breast belly stomach abdomen thorax torso body waist hip lap hindquarter haunch hump withers mandible
    proboscis stinger tusk horn antler antenna feeler carapace skin spine quill bristle limb forelimb hindlimb
    foreleg hindleg forepaw pouch udder navel muscle rib skull skeleton bone vein roof rooftop door doorway
    doorknob doorframe window windowsill windowpane pane sill shutter chimney gable eave balcony facade façade
    column pillar arch stair step railing banister spire steeple dome turret awning entrance exit threshold
    cornice ledge rafter gutter hinge latch wheel hubcap tire tyre spoke rim headlight headlamp taillight
    brakelight bumper hood bonnet windshield windscreen fender mudguard grille exhaust tailpipe dashboard
    steering cockpit fuselage propeller rotor engine motor hull deck bow stern mast sail rudder keel tailfin
    undercarriage cab handlebar pedal saddle axle wiper sunroof cowling nosecone handle lid spout stem stalk
    petal root branch twig bough stigma stamen pistil sepal thorn bark frond calyx anther bulb tendril bud
    kernel pit peel rind crust core seed pulp segment icing frosting topping filling yolk knob dial blade hilt
    strap buckle shoelace lace sole insole collar sleeve cuff pocket zipper hem lapel seam visor brim fret
    pickguard soundhole neckband armrest backrest headrest footrest seat tabletop lens lampshade wick flame nib
    prong tine trigger keypad touchpad trackpad keyhole stitch stitching tassel binding waistband waistline
    neckline outsole drawer nozzle chainring brake tip edging border margin surface base interior exterior
    component joint bump ridge groove crease fold crack hole opening slot compartment layer underbelly underpart
    midsection extremity appendage feature display logo emblem label panel mouthpart husk pod flank dewlap jowl
    dewclaw spur plume hatch porthole rigging tailgate sidecar floorboard headliner crossbar kickstand toecap
    eyelet drawstring buttonhole epaulette placket backplate faceplate bezel turntable spigot stopper bowstring
    headstock soundboard tuner fingerboard mantel hearth lintel buttress parapet battlement portico colonnade
    skylight belfry minaret thatch shingle clapboard newel baluster floret spadix rhizome cob rosette wingspan
    underwing eyespot numeral
    """
)
"""Parts that hardly stand for themselves."""
FITTINGS = words(
    """
    lock screen button cap crown tower key keyboard switch mirror light frame cover cord bell speaker shade hook
    rail basket pipe valve wire bolt screw nail cable socket pump spring battery eraser pedestal bed shelf
    string beam
    """
)
"""Parts of machines and buildings that also stand alone: a part where the whole is near."""
LOOSE = words(
    """
    leaf shell feather comb pad cone spike needle stick bill scale tag crumb
    """
)
"""Things that come off: a part where the owner is named."""
BOUNDS = words("corner edge end tip border surface rim outline contour")
"""Edges of things: a part unless something is placed there."""
CONTEXT = words(
    """
    scene image picture photo photograph photography snapshot shot setting environment surroundings backdrop
    habitat landscape scenery scenario skyline horizon sky ground floor ceiling soil dirt earth land terrain
    grass grassland lawn turf meadow field pasture prairie savanna savannah plain tundra steppe farmland
    cropland orchard vineyard water sea ocean lake river stream creek brook pond lagoon bay harbor harbour port
    marina dock pier wharf waterfall wave waterway canal swamp marsh wetland puddle pool poolside reef seabed
    seafloor underwater shore shoreline seashore coast coastline beach sand dune snow ice frost forest woods
    woodland jungle rainforest grove wilderness undergrowth thicket foliage vegetation greenery underbrush
    shrubbery mountain mountainside mountaintop hill hillside hilltop valley canyon cliff cave desert oasis
    island volcano slope summit peak glacier iceberg street road roadway roadside roadbed highway motorway
    freeway lane alley avenue boulevard intersection crossing crosswalk crossroads roundabout sidewalk pavement
    path pathway trail track walkway driveway curb kerb runway tarmac asphalt taxiway airfield airport station
    platform terminal subway garage carport city cityscape town village downtown suburb neighborhood
    neighbourhood countryside country farm barnyard farmyard backyard yard courtyard garden park playground
    campground campsite zoo aquarium enclosure paddock corral plaza market marketplace bazaar mall shop store
    supermarket bakery restaurant cafe café bar pub diner cafeteria kitchen bathroom restroom bedroom livingroom
    lounge room hall hallway corridor lobby foyer basement cellar stairwell office workplace classroom school
    campus library museum gallery studio workshop warehouse factory hospital clinic gym gymnasium arena stadium
    court pitch rink ballpark outfield infield racetrack racecourse theater theatre auditorium circus fair
    fairground festival concert wedding party ceremony venue patio terrace veranda cloud fog mist haze smog rain
    rainfall drizzle storm thunderstorm snowfall blizzard weather wind breeze lightning rainbow sun sunlight
    sunshine sunbeam daylight moonlight lamplight candlelight moon lighting illumination ambience ambiance
    atmosphere air darkness gloom shadow sunset sunrise dusk dawn twilight noon midday night nighttime midnight
    day daytime morning afternoon evening winter summer autumn season spotlight indoors outdoors outdoor indoor
    world universe wall way traffic tunnel porch attic close-up closeup underpass overpass game match tournament
    competition parade clearing gorge ravine fjord lakeside riverside riverbank waterside heavens galaxy seating
    cemetery graveyard stable kennel pen coop aviary plantation greenhouse nursery salon lab laboratory
    boardroom ballroom casino carnival rodeo spa sauna seaport shipyard junkyard scrapyard alleyway subdivision
    """
)
MOODS = words(
    """
    attention curiosity alertness fear anger joy happiness sadness surprise calm calmness excitement
    concentration focus interest anxiety stress distress pain confusion boredom contentment pleasure affection
    love aggression playfulness sleepiness fatigue exhaustion hunger thirst relaxation tranquility serenity mood
    emotion feeling determination confidence pride shyness amusement delight disgust grief tension hurry comfort
    """
)
STATE = (
    words(
        """
    open closed shut on off up down asleep awake still full empty wet dry clean dirty broken intact lit unlit
    raised lowered folded spread bent straight upright bloom flowering growth maturity ripeness decay rot pose
    posture stance motion movement action activity state condition status mode phase process act smile frown
    grin smirk grimace scowl yawn wink gaze stare glance gesture expression flight takeoff descent ascent
    mid-air midair midflight mid-flight midstride mid-stride midjump mid-jump half-mast rest sleep nap slumber
    repose use operation progress transit balance contact disarray disrepair ruins hibernation captivity leap
    jump hop stride gallop trot canter sprint crawl dive somersault crouch squat handstand headstand kneel hug
    kiss embrace fight chase race performance conversation interaction celebration play preparation construction
    repair service speed momentum rotation behavior behaviour effort attempt pursuit anticipation readiness
    silence stillness wakefulness openness attitude demeanor demeanour ajar alert furled unfurled wilted parked
    erect lifted tilted turned tucked curled stretched extended development damage wear neglect life death
    danger trouble reach laughter flux tow swim walk stroll jog run speech song blur prayer worship mourning
    charge hover orbit freefall ambush courtship combat surrender hiding ecstasy meditation trance stasis pause
    hesitation recline posturing salute applause
    """
    )
    | MOODS
)
"""Postures, motions and conditions; feelings among them."""
STATE_WORDS = words(
    """
    open opened closed shut lit unlit raised lowered folded unfolded spread empty full broken furled unfurled
    blooming wilted parked off on up down upright erect horizontal vertical seated fetal foetal prone supine
    lotus crouched crouching curled locked unlocked relaxed tense defensive aggressive ready resting reclined
    reclining tucked bent extended retracted stretched kneeling squatting sitting standing lying sleeping flying
    running walking hanging playful alert neutral natural comfortable awkward precarious asleep awake moving
    stationary frozen playing streamlined hunched slouched slumped crossed perched stable unstable active idle
    """
)
"""Adjectives that make a "position", and a bare "one", a state."""
MOODY = words(
    """
    fierce sad happy angry calm curious surprised serious stern friendly sleepy tired worried playful menacing
    thoughtful pensive joyful cheerful excited focused intense alert gentle puzzled confused scared frightened
    grumpy bored content proud sly knowing blank neutral loving mischievous peaceful relaxed concerned
    determined
    """
)
UNSURE = words(
    """
    option question answer choice statement claim fact example reason information detail assistance help result
    purpose evidence conclusion addition comparison possibility idea relation relationship description case
    instance observation assumption category difference similarity identification identity name title term
    meaning matter accuracy aspect indication presence absence existence number amount total count none nothing
    something anything everything no yes ok okay sorry respect regard consideration possibilities clarity
    certainty clue request query response user sentence task majority exception type kind sort sense importance
    significance likelihood chance ability nature attribute characteristic property quality factor uncertainty
    visibility hint other another few many most several some all both neither either each any much more less two
    three four five six seven eight nine ten eleven twelve dozen hundred zero which what that who whom whose
    this these those there here when where how why lack need role benefit issue problem challenge theme topic
    concept time moment requirement suggestion reference explanation opinion interpretation perception
    impression mention
    """
)
LOOK_THROUGH = words(
    """
    row group pair bunch number lot couple set kind type sort variety herd flock pack series cluster bundle
    collection handful array line swarm school crowd string mix mixture combination sign trace hint bit expanse
    stretch majority most some all both several many few each two three four five six body patch layer sense
    state touch dash plenty dozen multitude half third quarter rest remainder portion
    """
)
"""Words before "of" that name nothing by themselves: what follows says it."""
PEOPLE = words(
    """
    man woman boy girl child kid baby toddler infant person people adult teenager guy lady gentleman human
    player batter pitcher catcher skier surfer skater skateboarder rider cyclist biker driver passenger pilot
    chef cook waiter waitress runner dancer athlete worker farmer officer police policeman soldier firefighter
    doctor nurse teacher student singer musician guitarist performer artist painter photographer audience
    spectator crowd family mother father parent son daughter brother sister wife husband friend owner couple
    bride groom king queen clown referee umpire coach pedestrian customer vendor fisherman hunter sailor someone
    somebody individual figure he him his she her they them we us our you your i my swimmer climber hiker jumper
    boxer gymnast grandfather grandmother jockey captain bartender barber carpenter builder mechanic electrician
    plumber gardener mailman postman busker juggler magician acrobat ballerina violinist pianist drummer cellist
    conductor host guest visitor tourist traveler commuter shopper patron knight monk nun priest wizard witch
    pirate cowboy model viewer observer onlooker bystander goalkeeper goalie golfer snowboarder paddler rower
    kayaker wrestler archer skydiver parachutist groomer vet veterinarian bowler
    """
)
ANIMALS = words(
    """
    animal dog puppy cat kitten horse foal pony donkey cow calf bull ox sheep lamb goat pig piglet chicken hen
    rooster duck duckling goose swan turkey bird parrot owl eagle hawk falcon pigeon dove crow raven sparrow
    robin penguin peacock flamingo ostrich pelican seagull gull hummingbird woodpecker stork heron toucan fish
    shark whale dolphin seal walrus otter octopus squid jellyfish crab lobster shrimp snail slug worm butterfly
    caterpillar moth bee wasp ant beetle ladybug dragonfly fly mosquito grasshopper cricket spider scorpion
    snake lizard gecko iguana chameleon turtle tortoise crocodile alligator frog toad lion lioness tiger leopard
    cheetah jaguar panther bear cub panda koala kangaroo monkey gorilla chimpanzee ape elephant rhino rhinoceros
    hippo giraffe zebra deer fawn stag moose elk reindeer antelope gazelle buffalo bison camel llama alpaca wolf
    fox coyote raccoon skunk squirrel chipmunk rabbit hare bunny mouse rat hamster hedgehog porcupine bat sloth
    creature insect pet mammal reptile dinosaur dragon unicorn seahorse starfish urchin chick joey cygnet
    tadpole pup whelp mare stallion hound terrier retriever poodle bulldog dalmatian beagle collie corgi tabby
    finch jay cardinal kingfisher cockatoo macaw lemur meerkat mongoose badger weasel beaver armadillo anteater
    tapir okapi lynx bobcat cougar puma hyena jackal dingo wombat platypus manatee orca narwhal eel trout
    clownfish goldfish squirrelfish mantis centipede ladybird
    """
)
THINGS = words(
    """
    web nest egg reflection prey food toy leash harness bowl cage home house den burrow young offspring dress
    shirt t-shirt tee blouse jacket sweater hoodie vest suit tie scarf hat helmet glove mitten shoe boot sneaker
    sandal sock pants trousers jeans shorts skirt uniform jersey gown robe belt watch necklace bracelet earring
    ring glasses sunglasses goggles mask backpack bag purse handbag suitcase umbrella wallet phone camera laptop
    book newspaper cup mug glass bottle plate fork knife spoon racket racquet ball frisbee skateboard surfboard
    ski snowboard kite bike bicycle motorcycle car truck bus van boat ship train airplane plane helicopter
    blanket pillow towel chair table bench sofa couch companion neighbor trainer handler partner master mate
    meal snack flower flag sign gift cane crutch wheelchair stroller instrument guitar drum violin apple banana
    jewelry outfit clothing clothes costume apron building garment headband crib trailer cargo load barn church
    castle courthouse tree bush plant catch victim fence gate chain rope net temple mosque cathedral palace
    hotel skyscraper mud chocolate paint
    """
)
"""What belongs to somebody without being a part of it."""
OWNERS = (
    ANIMALS
    | PEOPLE
    | words(
        """
    car truck bus van boat ship train airplane plane aeroplane jet helicopter bicycle bike motorcycle scooter
    tractor vehicle house building church castle barn tower cabin hut phone laptop computer tv television camera
    clock watch lamp guitar violin piano drum chair table bench sofa bed shelf cabinet door window shoe boot
    jacket shirt coat dress hat helmet bag bottle jar jug cup mug teapot kettle pot pan knife fork spoon tree
    flower rose plant leaf mushroom fruit apple banana orange cake pie pizza sandwich bread flag sign umbrella
    kite ladder roof wall hand arm leg foot head face eye ear tail wing body microwave oven stove fridge
    refrigerator washer toilet sink bath fan radio remote controller microphone book cage fence gate bridge
    sailboat tricycle wagon cart carriage windmill sword robot statue pen pencil brush broom racket snowman
    cactus tulip daisy sunflower lily pumpkin
    """
    )
)
COMPOUND_OBJECTS = _pairs(
    """
    traffic light | street light | stop light | signal light | ceiling light | pendant light | christmas light |
    string light | fairy light | night light | flash light | light bulb | wall mirror | bathroom mirror |
    hand mirror | picture frame | photo frame | bed frame | water tower | clock tower | bell tower | control tower
    | watch tower | eiffel tower | lookout tower | ferris wheel | baseball cap | swimming cap | knit cap |
    shower cap | car key | house key | window box | door mat | door bell | hot plate | dinner plate | paper plate
    | home plate | computer keyboard | lily pad | mouse pad | traffic cone | pine cone | ice cream | water bottle
    | wall clock | table lamp | floor lamp | street lamp | street sign | road sign | stop sign | wind chime |
    roof rack | arm chair | wing chair | rocking chair | fire place | tree house | bird house | dog house |
    flower pot | wall art | wall painting | field goal | water buffalo | sea lion | sea turtle | sea horse |
    polar bear | mountain goat | mountain bike | street vendor | beach ball | beach umbrella | beach chair |
    beach towel | garden hose | garden gnome | park bench | picnic table | room divider | kitchen table |
    kitchen sink | kitchen counter | kitchen island | city bus | school bus | leg warmer | knee pad | elbow pad |
    shoulder bag | hand bag | hand towel | face mask | eye mask | eye patch | neck tie | neck pillow | head phone
    | head scarf | nose ring | ear ring | ear bud | hair dryer | hair brush | hair clip | hair band | tail coat |
    back pack | tooth brush | foot ball | foot stool | horn player | rubber band | cross bar | power line |
    clothes line | finish line | phone line | fishing line | fruit stand | ski pole | tent pole | christmas tree |
    palm tree | stuffed animal | teddy bear | christmas star | star fish | gold fish | black bird | blue bird |
    black board | white board | bike rack | walking stick | drum stick | chop stick | candle stick | hockey stick
    | selfie stick | snow board | snow man | sand castle | rain coat | sun flower | sun hat | sun glass |
    moon cake | cloud computing | lawn mower | grass skirt | grass hopper | river boat | sail boat | lake house |
    wine glass | water glass | magnifying glass | hour glass | fish bowl | fish tank | diamond ring | wedding ring
    | gold ring
    """
)
COMPOUND_PARTS = _pairs(
    """
    side mirror | wing mirror | rearview mirror | steering wheel | license plate | number plate | brake light |
    tail light | head light | fog light | turn light | indicator light | rear light | door frame | window frame |
    window pane | window sill | lamp shade | eye lid | finger nail | toe nail | landing gear | kick stand |
    mud flap | nose cone | roof tile | paw pad | butt cheek | gas cap | bottle cap | lens cap | gear shift |
    side panel | seat belt | shoe lace | minute hand | hour hand | second hand | breast pocket | neck ruff |
    tail feather | wing feather | flower head | seed head | rib cage
    """
)
COMPOUND_CONTEXTS = _pairs(
    """
    parking lot | empty lot | vacant lot | car park | living room | dining room | bus stop | train station |
    bus station | gas station | swimming pool | baseball field | soccer field | football field | tennis court |
    golf course | race course | race track | train track | railroad track | railway track | train tracks |
    ski slope | ski resort | rice paddy | construction site | camp site | work space | open space | outer space |
    green space | water surface | body water | front yard | tree line | tide pool | night sky | river bank |
    lake side | stage light | natural light | sun light | soft light | bright light | dim light | warm light |
    harsh light | ambient light | day light | moon light | low light | golden light | artificial light |
    morning light | evening light | concert hall | city hall | town square | city square | village square |
    flower bed | front lawn | forest floor | ocean floor | sea floor | sea bed | sea bottom | desert floor |
    wooden surface | flat surface | white surface | hard surface | pumpkin patch | cabbage patch | rocky outcrop |
    dirt road | picnic area | play area | grassy area | wooded area | forested area | urban area | rural area |
    residential area | sandy area | rocky area | public space | parking space | parking garage | living space |
    shopping center | shopping centre | city center | city centre | golden hour | rush hour
    """
)
NOT_DOING = words(
    """
    building ceiling clothing wing ring string railing painting drawing king thing earring sibling duckling
    swing sling spring wedding lightning lighting evening morning stocking icing frosting topping filling
    dumpling pudding sterling marking coloring colouring edging binding stitching bedding flooring dressing
    carving awning sapling viking offering crossing landing setting something anything nothing everything being
    darling herring starling fledgling hatchling gosling seedling mooring molding moulding covering opening
    siding paneling wiring stuffing wrapping packaging bowling plumbing seating lining padding coating shading
    surrounding legging rigging shelving scaffolding fencing roofing inkling bring
    """
)
"""Words in -ing that name things."""
